"""nova-novncproxy's relay as Debian packages it, for bench/relays.ts: only what asks the database and compute is answered here."""
import sys

import eventlet
eventlet.monkey_patch()

from nova.console import websocketproxy


class ConnectInfo(dict):
    __getattr__ = dict.__getitem__


class Handler(websocketproxy.NovaProxyRequestHandler):
    def _get_connect_info(self, ctxt, token):
        return ConnectInfo(host='127.0.0.1', port=int(sys.argv[2]), token='***', access_url_base='http://127.0.0.1/')


websocketproxy.NovaWebSocketProxy(
    listen_host='127.0.0.1', listen_port=int(sys.argv[1]), RequestHandlerClass=Handler, file_only=True, daemon=False,
).start_server()
