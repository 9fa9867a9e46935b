"""Nova itself as Debian packages it (python3-nova), for bench/nova-house.ts.

  python3 nova_house.py prepare what-there-is-to-be.json --config-file nova.conf      makes its tables, its two cells and the instances
  python3 nova_house.py serve --config-file nova.conf                                is nova-api, with the applications of enabled_apis
"""
import base64
import json
import sys

import nova.monkey_patch  # noqa: F401  as Nova's commands begin

from nova.cmd import api
from nova import config, context, objects
from nova.db import migration
from nova.network import model


def make_cell(admin, uuid, name, transport_url, database_url):
    cell = objects.CellMapping(admin, uuid=uuid, name=name, transport_url=transport_url, database_connection=database_url)
    cell.create()
    with context.target_cell(admin, cell) as there:
        migration.db_sync(context=there)
    return cell


def network(wanted):
    subnet = model.Subnet(cidr='10.0.0.0/24', gateway=model.IP(address='10.0.0.1', type='gateway'), ips=[model.FixedIP(address='10.0.0.7')])
    of_vif = model.Network(id=wanted['network_id'], bridge='br-int', label='private', subnets=[subnet], mtu=1500)
    vif = model.VIF(id=wanted['port_id'], address='fa:16:3e:00:00:01', network=of_vif, type='ovs', devname='tap0')
    return model.NetworkInfo([vif])


def make_instance(admin, cell, uuid, index, wanted):
    project, user, key = wanted['project_id'], wanted['user_id'], wanted['public_key']
    flavor = objects.Flavor(
        name='m1.small', flavorid='m1.small', memory_mb=2048, vcpus=1, root_gb=20, ephemeral_gb=0, swap=0, rxtx_factor=1.0,
        vcpu_weight=0, disabled=False, is_public=True, extra_specs={}, description=None)
    pair = objects.KeyPair(name='laptop', type='ssh', public_key=key, user_id=user, fingerprint='aa:bb')
    objects.InstanceMapping(admin, instance_uuid=uuid, cell_mapping=cell, project_id=project, user_id=user, queued_for_delete=False).create()
    with context.target_cell(admin, cell) as there:
        instance = objects.Instance(
            there, uuid=uuid, project_id=project, user_id=user, display_name=f'web {index}', hostname=f'web-{index}', host='compute-1', node='compute-1',
            availability_zone='nova', vm_state='active', power_state=1, launch_index=0, reservation_id='r-bench', memory_mb=2048, vcpus=1, root_gb=20,
            ephemeral_gb=0, key_name='laptop', key_data=key, user_data=base64.b64encode(wanted['user_data'].encode()).decode(),
            metadata=wanted['metadata'], flavor=flavor, old_flavor=None, new_flavor=None, image_ref='', system_metadata={'image_min_ram': '0'},
            keypairs=objects.KeyPairList(objects=[pair]), info_cache=objects.InstanceInfoCache(network_info=network(wanted)))
        instance.create()


def prepare(wanted):
    objects.register_all()
    migration.db_sync(database='api')
    admin = context.get_admin_context()
    make_cell(admin, objects.CellMapping.CELL0_UUID, 'cell0', 'none:///', wanted['cell0_url'])
    cell = make_cell(admin, wanted['cell_uuid'], 'cell1', 'fake:///', wanted['cell_url'])
    for index, uuid in enumerate(wanted['instances']):
        make_instance(admin, cell, uuid, index, wanted)


if sys.argv.pop(1) == 'serve':
    api.main()
else:
    with open(sys.argv.pop(1)) as wanted_file:
        wanted = json.load(wanted_file)
    config.parse_args(sys.argv)
    prepare(wanted)
