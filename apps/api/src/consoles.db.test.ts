/** What Nova's tests of its console API check (test_remote_consoles, test_console_output, test_console_auth_tokens), over HTTP. */
import assert from 'node:assert/strict';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { serve } from '@gatehouse/rpc/server';
import type { RpcServer } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { runFor } from '../../../test/servers/running-time.ts';
import { serveAgent, startTestApi } from './test-api.ts';
import type { Answer, Ask, TestApi } from './test-api.ts';

const NOBODY = '00000000-0000-4000-8000-000000001234';
const ADMIN = 'admin:ops';

type Fault = readonly [name: string, code: number, message: string, errorCode?: string];

function faultOf(answer: Answer): Fault {
  const [[name, fault] = ['', { code: 0, message: '' }]] = Object.entries(answer.json as Record<string, { code: number; message: string; error_code?: string }>);
  assert.equal(fault.code, answer.status);
  return fault.error_code === undefined ? [name, fault.code, fault.message] : [name, fault.code, fault.message, fault.error_code];
}

describe('consoles over HTTP', function () {
  this.timeout(60_000);
  let api: TestApi;
  const servers: RpcServer[] = [];
  let id = '';
  /** What the host refuses with, for as long as it is set. */
  let refusal: ServiceError | Error | null = null;
  let printed = '';
  const lengths: (number | null)[] = [];
  const accesses: string[] = [];
  const tokens = new Map<string, ConsoleConnection>();

  before(async () => {
    api = await startTestApi(await startPostgresql());
    const agent = await serveAgent(api, 'host-a', {
      getConsole({ instanceUuid, consoleType, access }) {
        if (refusal !== null) throw refusal;
        accesses.push(access);
        return { instanceUuid, host: 'host-a', port: 0, consoleType, tokenHash: null, accessUrl: `http://proxy/${consoleType}#token=t`, options: {}, expires: new Date() };
      },
      consoleOutput({ length }) {
        if (refusal !== null) throw refusal;
        lengths.push(length);
        return length === null ? printed : printed.split('\n').slice(-length).join('\n');
      },
    });
    const auth = await serve(consoleauth, api.transport, {
      server: 'consoleauth-1',
      handlers: someHandlers(consoleauth, {
        revokeInstance: () => 0,
        showToken: ({ token }) => tokens.get(token) ?? refuse('NOT_FOUND', `nothing is known of the token ${token}`),
      }),
    });
    servers.push(agent, auth);
    id = await createServer('c');
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.drain(0)));
    await api?.stop();
  });
  afterEach(() => {
    refusal = null;
  });

  async function createServer(name: string): Promise<string> {
    const answer = await api.ask('POST', '/v2.1/servers', { body: { server: { name, availability_zone: 'nova:host-a' } } });
    assert.equal(answer.status, 202, answer.text);
    return (answer.json as { server: { id: string } }).server.id;
  }
  const act = (action: string, args: unknown, how: Ask = {}, server = id): Promise<Answer> => api.ask('POST', `/v2.1/servers/${server}/action`, { ...how, body: { [action]: args } });
  const create = (args: unknown, how: Ask = {}, server = id): Promise<Answer> =>
    api.ask('POST', `/v2.1/servers/${server}/remote-consoles`, { version: '2.6', ...how, body: { remote_console: args } });

  /** The five ways to a console: each action before 2.6, and remote-consoles since. */
  const WAYS: readonly (readonly [name: string, type: string, open: (type?: unknown, server?: string) => Promise<Answer>])[] = [
    ['os-getVNCConsole', 'novnc', (type = 'novnc', server = id) => act('os-getVNCConsole', { type }, {}, server)],
    ['os-getSPICEConsole', 'spice-html5', (type = 'spice-html5', server = id) => act('os-getSPICEConsole', { type }, {}, server)],
    ['os-getRDPConsole', 'rdp-html5', (type = 'rdp-html5', server = id) => act('os-getRDPConsole', { type }, {}, server)],
    ['os-getSerialConsole', 'serial', (type = 'serial', server = id) => act('os-getSerialConsole', { type }, {}, server)],
    ['remote-consoles vnc', 'novnc', (type = 'novnc', server = id) => create({ protocol: 'vnc', type }, {}, server)],
    ['remote-consoles spice', 'spice-html5', (type = 'spice-html5', server = id) => create({ protocol: 'spice', type }, {}, server)],
    ['remote-consoles rdp', 'rdp-html5', (type = 'rdp-html5', server = id) => create({ protocol: 'rdp', type }, {}, server)],
    ['remote-consoles serial', 'serial', (type = 'serial', server = id) => create({ protocol: 'serial', type }, {}, server)],
    ['remote-consoles mks', 'webmks', (type = 'webmks', server = id) => create({ protocol: 'mks', type }, { version: '2.8' }, server)],
  ];

  /** What the compute host refuses with, and the status at the API: where Nova gives 500 by mistake, the right one. */
  const REFUSED: readonly (readonly [what: string, code: ErrorCode, words: string, status: number, name: string, says: RegExp])[] = [
    ['no such instance', 'NOT_FOUND', 'Instance x could not be found.', 404, 'itemNotFound', /could not be found/],
    ['an instance that is not ready', 'FAILED_PRECONDITION', 'Instance x is not ready', 409, 'conflictingRequest', /is not ready/],
    ['a console type that is not available', 'INVALID_ARGUMENT', 'Unavailable console type novnc.', 400, 'badRequest', /Unavailable console type/],
    ['a port in use', 'PORT_IN_USE', 'in use since 12:00', 409, 'conflictingRequest', /in use since/],
    ['no port that is free', 'NO_PORT_FREE', 'all 2 serial ports are taken', 409, 'conflictingRequest', /all 2 serial ports/],
    ['what it cannot do', 'UNIMPLEMENTED', 'the driver has no such console', 501, 'notImplemented', /no such console/],
    ['a consoleauth that is away', 'UNAVAILABLE', 'nobody serves consoleauth', 503, 'serviceUnavailable', /compute host host-a cannot be reached at the moment: nobody serves consoleauth/],
    ['its time being over', 'DEADLINE_EXCEEDED', 'no answer in time', 504, 'computeFault', /compute host host-a did not answer in time/],
    ['something that broke', 'INTERNAL', 'a secret of the inside', 500, 'computeFault', /^The server has either erred or is incapable/],
  ];

  for (const [way, type, open] of WAYS) {
    describe(way, () => {
      for (const [what, code, words, status, name, says] of REFUSED) {
        it(`is refused for ${what}: ${status}`, async () => {
          refusal = new ServiceError(code, words);
          const fault = faultOf(await open());
          assert.deepEqual([fault[0], fault[1]], [name, status]);
          assert.match(fault[2], says);
          assert.equal(fault[3], code === 'PORT_IN_USE' || code === 'NO_PORT_FREE' ? code : undefined);
        });
      }

      it('is refused for an instance that there is not, or that has no host yet, or is being deleted or moved', async () => {
        assert.deepEqual(faultOf(await open(undefined, NOBODY)), ['itemNotFound', 404, `Instance ${NOBODY} could not be found.`]);
        const { cellDb } = api;
        await cellDb.instances.update(id, { host: null }, new Date());
        assert.deepEqual(faultOf(await open()), ['conflictingRequest', 409, `Instance ${id} is not ready`]);
        await cellDb.instances.update(id, { host: 'host-a' }, new Date());
        for (const taskState of ['deleting', 'migrating']) {
          await cellDb.instances.update(id, { taskState }, new Date());
          const fault = faultOf(await open());
          await cellDb.instances.update(id, { taskState: null }, new Date());
          assert.deepEqual([fault[0], fault[1]], ['conflictingRequest', 409]);
          assert.match(fault[2], new RegExp(`task_state ${taskState}`));
        }
      });

      it('is refused without a type, and for one that there is not', async () => {
        for (const bad of ['invalid', null, 7, true, [], {}]) assert.equal((await open(bad)).status, 400, JSON.stringify(bad));
      });

      it('gives a URL', async () => {
        const answer = await open();
        assert.equal(answer.status, 200, answer.text);
        const [[, body] = ['', {}]] = Object.entries(answer.json as Record<string, { type?: string; url?: string }>);
        assert.deepEqual([body.type, body.url], [type, `http://proxy/${type}#token=t`]);
      });
    });
  }

  it('take no parameters that there are not, and no type that is missing', async () => {
    for (const answer of [
      await act('os-getVNCConsole', {}), await act('os-getVNCConsole', { type: 'novnc', undefined: 'x' }), await act('os-getVNCConsole', null),
      await create({ protocol: 'vnc' }), await create({ type: 'novnc' }), await create({ protocol: 'vnc', type: 'novnc', x: 1 }), await create(null),
    ]) assert.deepEqual(faultOf(answer).slice(0, 2), ['badRequest', 400]);
  });

  it('are for looking only where that is asked for, and else for typing too', async () => {
    accesses.length = 0;
    const view = await create({ protocol: 'vnc', type: 'novnc', access: 'view' });
    assert.deepEqual(view.json, { remote_console: { protocol: 'vnc', type: 'novnc', access: 'view', url: 'http://proxy/novnc#token=t' } });
    await create({ protocol: 'vnc', type: 'novnc', access: 'full' });
    await create({ protocol: 'vnc', type: 'novnc' });
    assert.deepEqual(accesses, ['view', 'full', 'full']);
    const answer = faultOf(await create({ protocol: 'vnc', type: 'novnc', access: 'watch' }));
    assert.deepEqual(answer.slice(0, 2), ['badRequest', 400]);
    assert.match(answer[2], /'full', 'view'|full.*view/);
  });

  it('are of one protocol: other pairs pass the schema and are refused all the same', async () => {
    assert.deepEqual(faultOf(await create({ protocol: 'serial', type: 'xvpvnc' })), ['badRequest', 400, 'Invalid console type xvpvnc']);
    assert.deepEqual(faultOf(await act('os-getVNCConsole', { type: 'xvpvnc' })), ['badRequest', 400, 'Invalid console type xvpvnc']);
    assert.equal((await create({ protocol: 'mks', type: 'webmks' }, { version: '2.7' })).status, 400);
  });

  it('have each their microversions', async () => {
    assert.equal((await act('os-getVNCConsole', { type: 'novnc' }, { version: '2.6' })).status, 404);
    assert.equal((await create({ protocol: 'vnc', type: 'novnc' }, { version: '2.5' })).status, 404);
  });

  it('are gone where Nova once had those of another hypervisor', async () => {
    for (const [method, path] of [['GET', ''], ['POST', ''], ['GET', '/1'], ['DELETE', '/1']] as const) {
      const answer = await api.ask(method, `/v2.1/servers/${id}/consoles${path}`);
      assert.deepEqual(faultOf(answer).slice(0, 2), ['computeFault', 410], `${method} ${path}`);
    }
  });

  describe('what a console printed', () => {
    const output = (length?: unknown, server = id): Promise<Answer> => act('os-getConsoleOutput', length === undefined ? {} : { length }, { version: '2.93' }, server);

    for (const bad of ['NaN', {}, 2.5, true, [], -2, '-2', '', ' 3', '1e3']) {
      it(`is refused for a length of ${JSON.stringify(bad)}`, async () => {
        const [name, code, message] = faultOf(await output(bad));
        assert.deepEqual([name, code], ['badRequest', 400]);
        assert.match(message, /^Invalid input for field\/attribute length\. Value: /);
      });
    }

    it('is refused with anything else in the body', async () => {
      assert.equal((await act('os-getConsoleOutput', null)).status, 400);
      assert.equal((await act('os-getConsoleOutput', { length: 3, offset: 1 })).status, 400);
      assert.deepEqual(faultOf(await output(-7)), ['badRequest', 400, 'Invalid input for field/attribute length. Value: -7. -7 is less than the minimum of -1']);
    });

    it('is refused for no such instance, one that is not ready, a guest that is gone, a host that cannot, one that is away', async () => {
      assert.equal((await output(undefined, NOBODY)).status, 404);
      assert.equal((await act('os-getConsoleOutput', {}, { token: 'bob:other' })).status, 404);
      await api.cellDb.instances.update(id, { host: null }, new Date());
      assert.deepEqual(faultOf(await output()), ['conflictingRequest', 409, `Instance ${id} is not ready`]);
      await api.cellDb.instances.update(id, { host: 'host-a' }, new Date());
      for (const [code, status] of [['NOT_FOUND', 404], ['FAILED_PRECONDITION', 409], ['UNIMPLEMENTED', 501], ['UNAVAILABLE', 503], ['DEADLINE_EXCEEDED', 504]] as const) {
        refusal = new ServiceError(code, 'words');
        assert.equal((await output()).status, status);
      }
    });

    it('is shown whole, or its last lines, without control characters', async () => {
      printed = Array.from({ length: 5 }, (_, index) => `line ${index}`).join('\n');
      lengths.length = 0;
      for (const all of [undefined, null, -1, '-1']) assert.deepEqual((await output(all)).json, { output: printed });
      for (const some of [3, '3', '03']) assert.deepEqual((await output(some)).json, { output: 'line 2\nline 3\nline 4' });
      assert.deepEqual(lengths, [null, null, null, null, 3, 3, 3]);
      assert.equal((await output('9'.repeat(40))).status, 200);
      printed = Array.from({ length: 32 }, (_, code) => String.fromCodePoint(code)).join('');
      assert.deepEqual((await output()).json, { output: '\t\n' });
    });
  });

  describe('where a token leads', () => {
    const TOKEN = 'pLaNtEd-ToKeN-0123456789-abcdefghijklmnopqrs';
    const RDP = 'pLaNtEd-RdP-ToKeN-0123456789';
    const ask = (token: string, version = '2.31', how: Ask = {}): Promise<Answer> => api.ask('GET', `/v2.1/os-console-auth-tokens/${token}`, { token: ADMIN, version, ...how });
    const connection = { instanceUuid: NOBODY, host: 'host-a', port: 5900, tokenHash: null, accessUrl: null, expires: null };
    before(() => {
      tokens.set(TOKEN, { ...connection, consoleType: 'novnc', options: {} });
      tokens.set(RDP, { ...connection, port: 3389, consoleType: 'rdp-html5', options: { address: '192.0.2.7', internal_access_path: 'xyz' } });
    });

    it('is for the administrator', async () => {
      const [name, code, message] = faultOf(await ask(TOKEN, '2.31', { token: 'alice:proj' }));
      assert.deepEqual([name, code, message], ['forbidden', 403, "Policy doesn't allow os_compute_api:os-console-auth-tokens to be performed."]);
    });

    it('is not found for a token that there is not, without the token in the answer', async () => {
      for (const token of ['nobody-knows-this', `${TOKEN}x`, 'x'.repeat(90), '%20', "'"]) {
        assert.deepEqual(faultOf(await ask(token)), ['itemNotFound', 404, 'Token not found'], token);
      }
    });

    it('is refused without a token', async () => {
      const answer = await api.ask('GET', '/v2.1/os-console-auth-tokens', { token: ADMIN });
      assert.deepEqual(faultOf(answer), ['badRequest', 400, 'token not provided']);
    });

    it('is shown of RDP consoles alone below 2.31, and of all since', async () => {
      assert.deepEqual(faultOf(await ask(TOKEN, '2.30')), ['unauthorized', 401, 'The requested console type details are not accessible']);
      for (const version of ['2.1', '2.30', '2.31', '2.93']) {
        const expected = { console: { instance_uuid: NOBODY, host: '192.0.2.7', port: 3389, internal_access_path: 'xyz' } };
        assert.deepEqual((await ask(RDP, version)).json, expected, version);
      }
      for (const version of ['2.31', '2.93']) {
        assert.deepEqual((await ask(TOKEN, version)).json, { console: { instance_uuid: NOBODY, host: 'host-a', port: 5900, internal_access_path: null } });
      }
    });

    it('leaves the token in no log, also not at a path that nobody serves', async () => {
      await ask(TOKEN);
      for (const path of [`/v2.1/os-console-auth-tokens/${TOKEN}/x`, `/v2.1/os-console-auth-tokens/${TOKEN}%ff`, `/v2.1/os-console%2Dauth-tokens/${TOKEN}`, `/v2.1/OS-CONSOLE-AUTH-TOKENS/${TOKEN}?token=${TOKEN}`]) {
        await api.ask('GET', path, { token: ADMIN, version: '2.31' });
        await api.ask('POST', path, { token: ADMIN, version: '2.31' });
      }
      await runFor(100);
      assert.ok(api.logged.some((line) => line.includes('os-console-auth-tokens/[redacted]')));
      assert.equal(api.logged.find((line) => line.includes('pLaNtEd')), undefined);
    });
  });
});

function refuse(code: ErrorCode, words: string): never {
  throw new ServiceError(code, words);
}
