"""The echo of bench/rpc.ts as a Python service would have it: oslo.messaging with oslo.versionedobjects.

    oslo_echo.py server URL            prints `serving`, serves until its input ends
    oslo_echo.py client URL            for each line `threads seconds` answers a JSON line {calls, seconds, p50_us}
"""
import json
import os
import statistics
import sys
import threading
import time

from oslo_config import cfg
import oslo_messaging
from oslo_versionedobjects import base, fields

role, url = sys.argv[1:]
EXCHANGE, TOPIC = 'bench', 'bench-oslo'


@base.VersionedObjectRegistry.register
class ConsoleConnection(base.VersionedObject):
    OBJ_SERIAL_NAMESPACE = 'nova_object'
    OBJ_PROJECT_NAMESPACE = 'nova'
    VERSION = '1.0'
    fields = {
        'instance_uuid': fields.UUIDField(),
        'host': fields.StringField(),
        'port': fields.IntegerField(),
        'console_type': fields.EnumField(['novnc', 'serial', 'spice-html5', 'rdp-html5', 'xvpvnc', 'webmks']),
        'token_hash': fields.StringField(nullable=True),
        'access_url': fields.StringField(nullable=True),
        'options': fields.DictOfStringsField(),
        'expires': fields.DateTimeField(nullable=True),
    }


class Serializer(base.VersionedObjectSerializer):
    OBJ_BASE_CLASS = ConsoleConnection


class Endpoint:
    target = oslo_messaging.Target(version='1.0')

    def authorize(self, context, connection):
        return connection


conf = cfg.CONF
conf([])
oslo_messaging.set_transport_defaults(EXCHANGE)
transport = oslo_messaging.get_rpc_transport(conf, url=url)


def serve():
    target = oslo_messaging.Target(topic=TOPIC, server='bench')
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor='threading', serializer=Serializer())
    server.start()
    print('serving', flush=True)
    sys.stdin.read()
    # Stopping in order would wait for a broker that may be gone already.
    os._exit(0)


def ask():
    client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic=TOPIC, version='1.0'), serializer=Serializer())
    connection = ConsoleConnection(
        instance_uuid='5d12a4b7-6b1c-4a37-9f2e-0d5d0f1c2b3a',
        host='compute-0017.example.org',
        port=5900,
        console_type='novnc',
        token_hash='a' * 64,
        access_url='https://console.example.org/vnc#token=' + 't' * 43,
        options={'transport': 'attach'},
        expires='2026-07-01T12:00:00Z',
    )
    for line in sys.stdin:
        threads, seconds = int(line.split()[0]), float(line.split()[1])
        latencies = []
        begun = time.monotonic()

        def run():
            now = time.monotonic()
            while now < begun + seconds:
                client.call({}, 'authorize', connection=connection)
                then, now = now, time.monotonic()
                latencies.append(now - then)

        workers = [threading.Thread(target=run) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        took = time.monotonic() - begun
        print(json.dumps({'calls': len(latencies), 'seconds': took, 'p50_us': statistics.median(latencies) * 1e6}), flush=True)


serve() if role == 'server' else ask()
