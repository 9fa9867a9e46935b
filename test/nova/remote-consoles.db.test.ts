/**
 * Replays Nova's tests of asking for consoles over REST: nova/tests/unit/api/openstack/compute/test_remote_consoles.py,
 * nova/tests/unit/policies/test_remote_consoles.py, functional/api_sample_tests/test_remote_consoles.py and test_consoles.py.
 * What is on purpose otherwise: docs/nova-consoles.md.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import { playAgent, startWholeHouse } from './whole-house.ts';
import type { Answer, WholeHouse } from './whole-house.ts';

const LEGACY = '2.1';
const ACTIONS = {
  vnc: ['os-getVNCConsole', 'novnc'],
  spice: ['os-getSPICEConsole', 'spice-html5'],
  rdp: ['os-getRDPConsole', 'rdp-html5'],
  serial: ['os-getSerialConsole', 'serial'],
} as const;
type Protocol = keyof typeof ACTIONS;

describe("Nova's tests of remote consoles", function () {
  this.timeout(60_000);
  let house: WholeHouse;
  let server = '';
  /** What the agent of the host `mocked` refuses with. */
  let refusal = new ServiceError('INTERNAL', 'not set');

  before(async () => {
    house = await startWholeHouse(['compute-1']);
    await playAgent(house, 'mocked', {
      getConsole() {
        throw refusal;
      },
    });
    server = await house.boot('compute-1');
  });
  after(() => house?.stop());

  const act = (id: string, protocol: Protocol, body: object): Promise<Answer> => house.ask(LEGACY, 'POST', `/servers/${id}/action`, { [ACTIONS[protocol][0]]: body });
  const get = (id: string, protocol: Protocol): Promise<Answer> => act(id, protocol, { type: ACTIONS[protocol][1] });
  const create = (id: string, protocol: string, type: string, version = '2.6', token?: string): Promise<Answer> =>
    house.ask(version, 'POST', `/servers/${id}/remote-consoles`, { remote_console: { protocol, type } }, token);

  async function whenTheHostSays(error: ServiceError, ask: (id: string) => Promise<Answer>): Promise<Answer> {
    refusal = error;
    return ask(await house.place({ host: 'mocked' }));
  }

  function assertRefused({ status, body }: Answer, expected: number, words?: RegExp): void {
    assert.equal(status, expected, JSON.stringify(body));
    const [fault] = Object.values(body) as { code: number; message: string }[];
    assert.equal(fault?.code, expected);
    assert.match(fault?.message ?? '', words ?? /./);
  }

  function assertOpens(path: string, url: unknown): void {
    const token = String(url).slice(`${house.proxyUrl}${path}#token=`.length);
    assert.equal(String(url).slice(0, -token.length), `${house.proxyUrl}${path}#token=`);
    assert.match(token, /^[\w-]{43}$/);
  }

  const GONE = new ServiceError('NOT_FOUND', 'Instance x could not be found.');
  const UNAVAILABLE = new ServiceError('INVALID_ARGUMENT', 'Unavailable console type');
  const INVALID_STATE = new ServiceError('FAILED_PRECONDITION', 'Instance x in power state 4');
  const NOT_IMPLEMENTED = new ServiceError('UNIMPLEMENTED', 'this driver has no such console');

  describe('the actions of 2.1 to 2.5', () => {
    for (const [protocol, path] of [['vnc', '/vnc'], ['serial', '/serial']] as const) {
      it(`test_get_${protocol}_console: answers type and URL, no more`, async () => {
        const { status, body } = await get(server, protocol);
        assert.equal(status, 200, JSON.stringify(body));
        const console = body['console'] as Record<string, unknown>;
        assert.deepEqual(Object.keys(console).sort(), ['type', 'url']);
        assert.equal(console['type'], ACTIONS[protocol][1]);
        assertOpens(path, console['url']);
      });
    }

    for (const protocol of ['vnc', 'spice', 'rdp', 'serial'] as const) {
      const notReady = protocol === 'serial' ? 'instance_not_ready' : 'not_ready';

      it(`test_get_${protocol}_console_${notReady}: 409 while the server has no guest, or no host yet`, async () => {
        assertRefused(await get(await house.place({ vmState: 'building', taskState: 'spawning' }), protocol), 409, /is not ready/);
        assertRefused(await get(await house.place({ host: null, vmState: 'building' }), protocol), 409, /is not ready/);
      });

      it(`test_get_${protocol}_console_no_type: 400`, async () => {
        assertRefused(await act(server, protocol, {}), 400, /'type' is a required property/);
      });

      it(`test_get_${protocol}_console_no_instance: 404`, async () => {
        assertRefused(await get(randomUUID(), protocol), 404, /could not be found/);
      });

      it(`test_get_${protocol}_console_invalid_type: 400`, async () => {
        assertRefused(await act(server, protocol, { type: 'invalid' }), 400, /'invalid' is not one of/);
      });
    }

    for (const protocol of ['vnc', 'spice', 'rdp'] as const) {
      it(`test_get_${protocol}_console_no_instance_on_console_get: 404 when the host finds it gone`, async () => {
        assertRefused(await whenTheHostSays(GONE, (id) => get(id, protocol)), 404);
      });

      it(`test_get_${protocol}_console_type_unavailable: 400`, async () => {
        assertRefused(await act(server, protocol, { type: 'unavailable' }), 400, /'unavailable' is not one of/);
      });

      it(`test_get_${protocol}_console_with_undefined_param: 400`, async () => {
        assertRefused(await act(server, protocol, { type: ACTIONS[protocol][1], undefined: 'foo' }), 400, /'undefined' was unexpected/);
      });
    }

    for (const protocol of ['vnc', 'spice'] as const) {
      it(`test_get_${protocol}_console_not_implemented: 501`, async () => {
        assertRefused(await whenTheHostSays(NOT_IMPLEMENTED, (id) => get(id, protocol)), 501);
      });
    }

    it('test_get_vnc_console_instance_invalid_state: 409, and so for every protocol, where Nova answers 500', async () => {
      for (const protocol of ['vnc', 'spice', 'rdp', 'serial'] as const) {
        assertRefused(await whenTheHostSays(INVALID_STATE, (id) => get(id, protocol)), 409, /in power state 4/);
      }
    });

    it('test_get_serial_console_not_enable: 400 when the host has no such consoles', async () => {
      assertRefused(await whenTheHostSays(UNAVAILABLE, (id) => get(id, 'serial')), 400, /Unavailable console type/);
    });
  });

  describe('remote-consoles, from 2.6', () => {
    for (const [protocol, type, path] of [['vnc', 'novnc', '/vnc'], ['serial', 'serial', '/serial']] as const) {
      it(`test_create_${protocol}_console: answers protocol, type and URL, also at 2.8`, async () => {
        for (const version of ['2.6', '2.8']) {
          const { status, body } = await create(server, protocol, type, version);
          assert.equal(status, 200, JSON.stringify(body));
          const { url, ...rest } = body['remote_console'] as Record<string, unknown>;
          assert.deepEqual(rest, { protocol, type });
          assertOpens(path, url);
        }
      });
    }

    it('test_create_console_instance_not_ready: 409', async () => {
      assertRefused(await create(await house.place({ vmState: 'building' }), 'vnc', 'novnc'), 409, /is not ready/);
    });

    it('test_create_console_unavailable: 400 for a console that the server does not have', async () => {
      for (const [protocol, type] of [['spice', 'spice-html5'], ['rdp', 'rdp-html5']] as const) {
        assertRefused(await create(server, protocol, type), 400, /Unavailable console type/);
      }
      assertRefused(await create(server, 'mks', 'webmks', '2.8'), 400, /Unavailable console type/);
    });

    it('test_create_console_not_found: 404', async () => {
      assertRefused(await create(randomUUID(), 'vnc', 'novnc'), 404, /could not be found/);
      assertRefused(await whenTheHostSays(GONE, (id) => create(id, 'vnc', 'novnc')), 404);
    });

    it('test_create_console_not_implemented: 501', async () => {
      assertRefused(await whenTheHostSays(NOT_IMPLEMENTED, (id) => create(id, 'vnc', 'novnc')), 501);
    });

    it('test_create_console_invalid_type: 400', async () => {
      assertRefused(await create(server, 'serial', 'xvpvnc'), 400, /Invalid console type xvpvnc/);
    });
  });

  describe('policies and samples', () => {
    it("test_create_console_policy: for the project's own people and administrators; for others the server is not there", async () => {
      for (const token of ['demo:demo', 'another:demo', 'admin:admin']) {
        assert.equal((await create(server, 'vnc', 'novnc', '2.6', token)).status, 200, token);
      }
      for (const token of ['demo:other', 'other:other']) assertRefused(await create(server, 'vnc', 'novnc', '2.6', token), 404);
    });

    it('test_get_vnc_console_instance_invalid_state (sample): 409 while the server is being deleted or migrated', async () => {
      for (const taskState of ['deleting', 'migrating']) {
        const id = await house.place({ taskState });
        assertRefused(await get(id, 'vnc'), 409, new RegExp(`task_state ${taskState}`));
      }
    });

    for (const [name, method, path] of [
      ['test_create_consoles', 'POST', '/consoles'],
      ['test_list_consoles', 'GET', '/consoles'],
      ['test_console_get', 'GET', '/consoles/1'],
      ['test_console_delete', 'DELETE', '/consoles/1'],
    ] as const) {
      it(`${name}: 410, what was there is gone`, async () => {
        assertRefused(await house.ask(LEGACY, method, `/servers/${server}${path}`, method === 'POST' ? { console: {} } : undefined), 410);
      });
    }
  });
});
