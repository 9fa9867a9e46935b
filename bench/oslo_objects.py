"""Real oslo.versionedobjects for bench/objects.ts: each line on stdin names a work and its seconds, each line on
stdout says how often it was done, and in how many seconds of time and of CPU."""
import json
import sys
import time

from oslo_versionedobjects import base
from oslo_versionedobjects import fields

CONSOLE_TYPES = ('novnc', 'serial', 'spice-html5', 'rdp-html5', 'xvpvnc', 'webmks')


@base.VersionedObjectRegistry.register
class ConsoleConnection(base.VersionedObject):
    VERSION = '1.0'
    OBJ_SERIAL_NAMESPACE = 'nova_object'
    OBJ_PROJECT_NAMESPACE = 'nova'
    fields = {
        'instance_uuid': fields.UUIDField(),
        'host': fields.StringField(),
        'port': fields.IntegerField(),
        'console_type': fields.EnumField(CONSOLE_TYPES),
        'token_hash': fields.StringField(nullable=True),
        'access_url': fields.StringField(nullable=True),
        'options': fields.DictOfStringsField(),
        'expires': fields.DateTimeField(nullable=True),
    }


primitive = json.loads(sys.argv[1])
text = json.dumps(primitive)
connection = ConsoleConnection.obj_from_primitive(primitive)
assert connection.obj_to_primitive() == primitive, 'both sides work on the same object'

WORKS = {
    'primitives': connection.obj_to_primitive,
    'JSON texts': lambda: json.dumps(connection.obj_to_primitive()),
    'reads': lambda: ConsoleConnection.obj_from_primitive(primitive),
    'reads of JSON texts': lambda: ConsoleConnection.obj_from_primitive(json.loads(text)),
}

for line in sys.stdin:
    request = json.loads(line)
    work = WORKS[request['work']]
    count = 0
    cpu = time.process_time()
    started = now = time.perf_counter()
    end = started + request['seconds']
    while now < end:
        for _ in range(100):
            work()
        count += 100
        now = time.perf_counter()
    answer = {'count': count, 'seconds': now - started, 'cpuSeconds': time.process_time() - cpu}
    sys.stdout.write(json.dumps({'result': answer}) + '\n')
