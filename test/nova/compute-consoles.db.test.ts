/**
 * Replays Nova's tests of what a compute host says of consoles: ComputeTestCase and ComputeAPITestCase of
 * nova/tests/unit/compute/test_compute.py, test_compute_mgr.py and what the drivers promise. Asked by RPC as the api and the
 * proxies' service ask, and over REST. What is on purpose otherwise: docs/nova-consoles.md.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { newContext } from '@gatehouse/rpc/context';
import { ConsoleSocket } from '../house/console-socket.ts';
import { refused, tokenOf } from './consoleauth-alone.ts';
import { awaitStatus, startWholeHouse } from './whole-house.ts';
import type { WholeHouse } from './whole-house.ts';

const HOST = 'compute-1';

describe("Nova's tests of consoles at the compute host", function () {
  this.timeout(60_000);
  let house: WholeHouse;
  let server = '';

  before(async () => {
    house = await startWholeHouse([HOST]);
    server = await house.boot(HOST);
  });
  after(() => house?.stop());

  const demo = () => newContext({ userId: 'demo', projectId: 'demo' });
  const getConsole = (instanceUuid: string, consoleType: ConsoleType): Promise<ConsoleConnection> =>
    house.compute.getConsole({ instanceUuid, consoleType }, demo(), { server: HOST });
  const connect = (token: string): Promise<ConsoleGrant> =>
    house.consoleauth.connect({ sessionId: randomUUID(), token, proxy: 'proxy-1', clientAddress: '192.0.2.7' }, newContext());
  const confirm = (connection: ConsoleConnection): Promise<boolean> => house.compute.confirmConsole({ connection }, newContext(), { server: HOST });
  const output = (instanceUuid: string, length: number | null): Promise<string> => house.compute.consoleOutput({ instanceUuid, length }, newContext(), { server: HOST });

  describe('the manager', () => {
    it('test_novnc_vnc_console: the host answers a console whose token opens it', async () => {
      const console = await getConsole(server, 'novnc');
      const { connection } = await connect(tokenOf(console));
      assert.deepEqual([connection.instanceUuid, connection.host, connection.port, connection.consoleType], [server, HOST, console.port, 'novnc']);
    });

    it('test_get_serial_console: built with its type, host, port and owner, and authorized for the time that is set', async () => {
      const asked = Date.now();
      const console = await getConsole(server, 'serial');
      assert.deepEqual([console.instanceUuid, console.host, console.port, console.consoleType], [server, HOST, 0, 'serial']);
      assert.ok(Math.abs((console.expires?.getTime() ?? 0) - asked - 600_000) < 30_000);
      const { session } = await connect(tokenOf(console));
      assert.deepEqual([session.userId, session.projectId], ['demo', 'demo']);
      const use = { id: session.id, claim: session.id, bytesIn: 0, bytesOut: 0 };
      await house.consoleauth.release({ proxy: 'proxy-1', session: use, reason: 'client_closed' }, newContext());
    });

    for (const consoleType of ['novnc', 'serial'] as const) {
      it(`test_validate_console_port_${consoleType === 'novnc' ? 'vnc' : 'serial'}: the host confirms its own console`, async () => {
        assert.equal(await confirm(await consoleOf(consoleType)), true);
      });
    }

    it('test_validate_console_port_wrong_port: not another port, type, host, path or instance', async () => {
      const real = await consoleOf('novnc');
      assert.equal(await confirm(real), true);
      const wrongs: readonly Partial<ConsoleConnection>[] = [
        { port: 4 },
        { consoleType: 'spice-html5' },
        { host: 'compute-2' },
        { options: { ...real.options, internal_access_path: '/another' } },
        { options: { transport: 'tcp', address: '127.0.0.1' } },
        { instanceUuid: randomUUID() },
      ];
      for (const wrong of wrongs) {
        assert.equal(await confirm({ ...real, ...wrong }), false, JSON.stringify(wrong));
      }
    });

    it('test_invalid_vnc_console_type: refused by name, before a driver is asked', async () => {
      await assert.rejects(getConsole(server, 'invalid' as ConsoleType), refused('INVALID_ARGUMENT', /console_type/));
    });

    it('test_missing_vnc_console_type: refused by name', async () => {
      await assert.rejects(getConsole(server, null as never), refused('INVALID_ARGUMENT', /console_type/));
    });

    for (const [name, consoleType] of [['vnc', 'novnc'], ['spice', 'spice-html5'], ['rdp', 'rdp-html5']] as const) {
      it(`test_${name}_console_instance_not_ready: while the guest is being made there is no console`, async () => {
        const building = await house.place({ vmState: 'building', taskState: 'spawning' });
        await assert.rejects(getConsole(building, consoleType), refused('FAILED_PRECONDITION', /is not ready \(building\)/));
      });
    }

    it('test_vnc_console_disabled: a console type that the host does not have is unavailable', async () => {
      for (const consoleType of ['spice-html5', 'rdp-html5', 'webmks', 'xvpvnc'] as const) {
        await assert.rejects(getConsole(server, consoleType), refused('INVALID_ARGUMENT', new RegExp(`Unavailable console type ${consoleType}`)));
      }
    });

    it('test_console_output: what the guest printed on its first serial port', async () => {
      assert.match(await printed(server), /\S/);
    });

    it('test_console_output_tail: its last lines', async () => {
      const lines = (await printed(server)).split('\n');
      assert.equal(await output(server, 2), lines.slice(-2).join('\n'));
      assert.equal(await output(server, 0), '');
    });

    it('test_console_output_bytes: bytes are answered as text that JSON can carry', async () => {
      const text = await printed(server);
      assert.ok(!/[\x00-\x08\x0b-\x1f]/.test(text));
      assert.equal(JSON.parse(JSON.stringify(text)), text);
    });

    it('test_console_output_instance_not_found: a guest that is not there', async () => {
      await assert.rejects(output(randomUUID(), null), refused('NOT_FOUND', /./));
    });

    it('test_clean_instance_console_tokens: a deleted server takes its tokens along, and ends what is open', async () => {
      const id = await house.boot(HOST);
      const { accessUrl } = await getConsole(id, 'novnc');
      const socket = await ConsoleSocket.open(accessUrl ?? '');
      await socket.awaitText(/^RFB/);
      assert.equal((await house.ask('2.90', 'DELETE', `/servers/${id}`)).status, 204);
      assert.deepEqual(await socket.closed, { code: 4020, reason: 'The instance was deleted.' });
      await assert.rejects(connect(tokenOf({ accessUrl })), refused('UNAUTHENTICATED', /unknown/));
    });
  });

  describe('the API', () => {
    for (const [name, action, type] of [
      ['vnc', 'os-getVNCConsole', 'novnc'],
      ['spice', 'os-getSPICEConsole', 'spice-html5'],
      ['rdp', 'os-getRDPConsole', 'rdp-html5'],
      ['serial', 'os-getSerialConsole', 'serial'],
    ] as const) {
      it(`test_get_${name}_console_no_host: not ready before it has a host`, async () => {
        const { status, body } = await house.ask('2.1', 'POST', `/servers/${await house.place({ host: null, vmState: 'building' })}/action`, { [action]: { type } });
        assert.equal(status, 409, JSON.stringify(body));
      });
    }

    it('test_get_mks_console_no_host: not ready before it has a host', async () => {
      const id = await house.place({ host: null, vmState: 'building' });
      assert.equal((await house.ask('2.8', 'POST', `/servers/${id}/remote-consoles`, { remote_console: { protocol: 'mks', type: 'webmks' } })).status, 409);
    });

    it('test_get_console_invalid_task_state: no console of any type while it is being deleted or migrated', async () => {
      const types = { vnc: 'novnc', spice: 'spice-html5', rdp: 'rdp-html5', serial: 'serial', mks: 'webmks' };
      for (const taskState of ['deleting', 'migrating']) {
        const id = await house.place({ taskState });
        for (const [protocol, type] of Object.entries(types)) {
          const { status, body } = await house.ask('2.8', 'POST', `/servers/${id}/remote-consoles`, { remote_console: { protocol, type } });
          assert.equal(status, 409, `${protocol} ${taskState}: ${JSON.stringify(body)}`);
          assert.match(JSON.stringify(body), new RegExp(`task_state ${taskState}`));
        }
      }
    });

    it('a stopped server has no console to give, where Nova gives a URL that opens nothing', async () => {
      const id = await house.boot(HOST);
      assert.equal((await house.ask('2.90', 'POST', `/servers/${id}/action`, { 'os-stop': null })).status, 202);
      await awaitStatus(house.ask, id, 'SHUTOFF');
      for (const [protocol, type] of [['vnc', 'novnc'], ['serial', 'serial']]) {
        const { status, body } = await house.ask('2.8', 'POST', `/servers/${id}/remote-consoles`, { remote_console: { protocol, type } });
        assert.equal(status, 409, JSON.stringify(body));
        assert.match(JSON.stringify(body), /is stopped; its consoles open when it runs/);
      }
    });

    it("test_vnc_console: whoever asks is told the URL and nothing else of the host's answer", async () => {
      const { body } = await house.ask('2.1', 'POST', `/servers/${server}/action`, { 'os-getVNCConsole': { type: 'novnc' } });
      assert.deepEqual(Object.keys(body['console'] as object).sort(), ['type', 'url']);
    });
  });

  /** The console as it stands stored: what a proxy's connect is confirmed by. */
  async function consoleOf(consoleType: ConsoleType): Promise<ConsoleConnection> {
    return { ...(await getConsole(server, consoleType)), accessUrl: null };
  }

  /** Up to its prompt, after which it says nothing more by itself. */
  async function printed(id: string): Promise<string> {
    for (const until = Date.now() + 10_000; ; ) {
      const text = await output(id, null);
      if (/\$ $/.test(text)) return text;
      assert.ok(Date.now() < until, `the guest printed ${JSON.stringify(text)} and no prompt`);
    }
  }
});
