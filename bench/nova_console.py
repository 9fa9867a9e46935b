"""What bench/console-peers.ts runs of Nova, as Debian packages it: `nova_console.py <role> --config-file nova.conf`.

`proxy` is nova-novncproxy itself. `compute` answers what the proxy asks nova-compute, with nothing of nova-compute's
behind it: it is cheaper than the real one. `links` makes the tables (nova-manage db sync) and instances, and then, for
a JSON line [count, the guest's port], the tokens of as many consoles, as nova-compute authorizes them.
"""
import json
import sys

import nova.monkey_patch  # noqa: F401  as the commands of Nova's begin

import oslo_messaging
from nova import config
from nova import context
from nova import objects
from nova import rpc
from nova.cmd import novncproxy
from nova.conf import CONF
from nova.db import migration

# Not that of our agent: queues are named after the host, whatever their exchange.
HOST = 'nova-compute-1'
INSTANCES = 50
TOKEN_TTL_SECONDS = 3600


class Compute:
    """The driver has the console where the token says: every port is right."""
    target = oslo_messaging.Target(version='6.0')

    def validate_console_port(self, context, instance, port, console_type):
        return instance.host == HOST and int(port) > 0


def compute():
    config.parse_args(sys.argv)
    objects.register_all()
    server = rpc.get_server(oslo_messaging.Target(topic='compute', server=HOST), [Compute()], serializer=objects.base.NovaObjectSerializer())
    server.start()
    print('serving', flush=True)
    server.wait()


def links():
    config.parse_args(sys.argv)
    objects.register_all()
    migration.db_sync(database='main')
    admin = context.get_admin_context()
    instances = [objects.Instance(admin, host=HOST, project_id='demo', user_id='admin', display_name='m-%d' % n) for n in range(INSTANCES)]
    for instance in instances:
        instance.create()
    for line in sys.stdin:
        count, port = json.loads(line)
        tokens = [
            objects.ConsoleAuthToken(
                admin, console_type='novnc', host='127.0.0.1', port=port, internal_access_path=None,
                instance_uuid=instances[n % INSTANCES].uuid, access_url_base='http://127.0.0.1/vnc_lite.html',
            ).authorize(TOKEN_TTL_SECONDS)
            for n in range(count)
        ]
        print(json.dumps({'result': tokens}), flush=True)


{'proxy': novncproxy.main, 'compute': compute, 'links': links}[sys.argv.pop(1)]()
