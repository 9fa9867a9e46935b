/**
 * Replays Nova's tests of what external proxies ask for: nova/tests/unit/api/openstack/compute/test_console_auth_tokens.py,
 * nova/tests/unit/policies/test_console_auth_tokens.py and the sample of functional/api_sample_tests.
 */
import assert from 'node:assert/strict';
import { newContext } from '@gatehouse/rpc/context';
import { ConsoleSocket, RFB_GREETING } from '../house/console-socket.ts';
import { startWholeHouse } from './whole-house.ts';
import type { Answer, WholeHouse } from './whole-house.ts';

const ADMIN = 'admin:admin';
const SERIAL_ADDRESS = '127.0.0.1';

describe("Nova's tests of console auth tokens over REST", function () {
  this.timeout(60_000);
  let house: WholeHouse;
  let stopAgent = async (): Promise<void> => {};
  let server = '';

  before(async () => {
    house = await startWholeHouse([]);
    const agent = await house.startAgent('compute-1', { simulatedTcp: 'true', serialListen: SERIAL_ADDRESS, serialPortRange: '31700:31800' });
    stopAgent = () => agent.drain();
    server = await house.boot('compute-1');
  });
  after(async () => {
    await stopAgent();
    await house?.stop();
  });

  const show = (token: string, version = '2.31', caller = ADMIN): Promise<Answer> => house.ask(version, 'GET', `/os-console-auth-tokens/${token}`, undefined, caller);

  async function urlOf(protocol: string, type: string): Promise<string> {
    const { status, body } = await house.ask('2.6', 'POST', `/servers/${server}/remote-consoles`, { remote_console: { protocol, type } });
    assert.equal(status, 200, JSON.stringify(body));
    return (body['remote_console'] as { url: string }).url;
  }

  const tokenIn = (url: string): string => new URLSearchParams(new URL(url).hash.slice(1)).get('token') ?? assert.fail(url);

  it('test_get_console_connect_info_token_not_found: 404', async () => {
    const { status, body } = await show('no-such-token');
    assert.equal(status, 404, JSON.stringify(body));
    assert.match((body['itemNotFound'] as { message: string }).message, /Token not found/);
  });

  it('test_get_console_connect_info_nonrdp_console_type: 401 below 2.31, which shows RDP alone', async () => {
    const token = tokenIn(await urlOf('vnc', 'novnc'));
    for (const version of ['2.1', '2.30']) assert.equal((await show(token, version)).status, 401, version);
    assert.equal((await show(token, '2.31')).status, 200);
  });

  it("test_get_console_connect_info: the instance, and where a proxy of one's own dials its console, the port as a number", async () => {
    const token = tokenIn(await urlOf('serial', 'serial'));
    const { status, body } = await show(token);
    assert.equal(status, 200, JSON.stringify(body));
    const context = newContext({ userId: 'demo', projectId: 'demo' });
    const { port } = await house.compute.getConsole({ instanceUuid: server, consoleType: 'serial' }, context, { server: 'compute-1' });
    assert.deepEqual(body, { console: { instance_uuid: server, host: SERIAL_ADDRESS, port, internal_access_path: null } });
  });

  it('test_get_console_connect_info (sample): the token of a URL is shown, and opens its console all the same', async () => {
    const url = await urlOf('vnc', 'novnc');
    assert.deepEqual(Object.keys((await show(tokenIn(url))).body['console'] as object).sort(), ['host', 'instance_uuid', 'internal_access_path', 'port']);
    const socket = await ConsoleSocket.open(url);
    await socket.awaitText(RFB_GREETING);
    socket.close();
    await socket.closed;
  });

  it('test_console_connect_info_token_policy: for administrators alone, also where the token is one\'s own', async () => {
    const token = tokenIn(await urlOf('vnc', 'novnc'));
    for (const caller of ['demo:demo', 'other:other']) {
      const { status, body } = await show(token, '2.31', caller);
      assert.equal(status, 403, JSON.stringify(body));
      assert.match(JSON.stringify(body), /os_compute_api:os-console-auth-tokens/);
    }
  });
});
