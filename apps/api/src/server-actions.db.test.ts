import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { leftHostsOf } from '@gatehouse/cell-db/instances-store';
import type { InstanceChanges } from '@gatehouse/cell-db/instances-store';
import { compute } from '@gatehouse/contracts/compute';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RpcServer } from '@gatehouse/rpc/server';
import { serve } from '@gatehouse/rpc/server';
import { someHandlers } from '@gatehouse/rpc/some-handlers';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { runningMsOf } from '../../../test/servers/running-time.ts';
import { reportAgent, serveAgent, silenceAgents, startTestApi } from './test-api.ts';
import type { Answer, ComputeHandlers, TestApi } from './test-api.ts';

/** What the hosts and consoleauth were asked, in order: `host-a stop`, `revoke instance_stopped`. */
type Asked = string[];

describe('actions on servers', function () {
  this.timeout(60_000);
  const asked: Asked = [];
  const agents = new Map<string, RpcServer>();
  /** What a host does instead of what it is asked, by `host method`. */
  const troubles = new Map<string, () => void | Promise<void>>();
  let api: TestApi;

  before(async () => {
    // Nobody here says which levels live.
    api = await startTestApi(await startPostgresql(), { rpcPinCompute: compute.version });
    for (const host of ['host-a', 'host-b']) agents.set(host, await serveAgent(api, host, handlersOf(host)));
    await serve(consoleauth, api.transport, {
      server: 'consoleauth-1',
      handlers: someHandlers(consoleauth, {
        revokeInstance({ reason }) {
          asked.push(`revoke ${reason}`);
          return 0;
        },
      }),
    });
  });

  after(async () => {
    for (const agent of agents.values()) await agent.drain();
    await api?.stop();
  });

  beforeEach(async () => {
    asked.length = 0;
    troubles.clear();
    await Promise.all([...agents.keys()].map((host) => reportAgent(api, host)));
  });

  /** An agent that writes down what it was asked and writes the states that a real one writes. */
  function handlersOf(host: string): Partial<ComputeHandlers> {
    const write = (uuid: string, changes: InstanceChanges) => api.cellDb.instances.update(uuid, changes, new Date(), host);
    const hear = async (method: string): Promise<void> => {
      asked.push(`${host} ${method}`);
      await troubles.get(`${host} ${method}`)?.();
    };
    return {
      async stopInstance({ instanceUuid }) {
        await hear('stop');
        const isShelved = (await api.cellDb.instances.get(instanceUuid)).taskState === 'shelving';
        await write(instanceUuid, isShelved ? { vmState: 'shelved', taskState: 'shelving_offloading' } : { vmState: 'stopped', taskState: null });
      },
      async startInstance({ instance }) {
        await hear('start');
        await write(instance.uuid, { vmState: instance.taskState === 'resize_finish' ? 'resized' : 'active', taskState: null });
      },
      async rebootInstance({ instance }) {
        await hear('reboot');
        await write(instance.uuid, { vmState: 'active', taskState: null });
      },
      async rebuildInstance({ instance }) {
        await hear('rebuild');
        await write(instance.uuid, { vmState: instance.taskState === 'resize_finish' ? 'resized' : 'active', taskState: null });
      },
      receiveInstance: ({ live }) => hear(live ? 'receive live' : 'receive'),
      deleteInstance: ({ reason }) => hear(`delete ${reason}`),
    };
  }

  async function make(changes: InstanceChanges = {}): Promise<string> {
    const answer = await api.ask('POST', '/v2.1/servers', { body: { server: { name: 'web', flavorRef: '1', availability_zone: 'nova:host-a' } } });
    assert.equal(answer.status, 202, answer.text);
    const { id } = (answer.json as { server: { id: string } }).server;
    await api.cellDb.instances.update(id, changes, new Date());
    return id;
  }

  const act = (id: string, action: string, body: unknown = null, version = '2.90', token = 'admin:proj'): Promise<Answer> =>
    api.ask('POST', `/v2.1/servers/${id}/action`, { token, version, body: { [action]: body } });
  const wordsOf = ({ json }: Answer): string => Object.values(json as Record<string, { message: string }>)[0]?.message ?? '';
  const rowOf = async (id: string) => {
    const { host, vmState, taskState, flavorRef, ...row } = await api.cellDb.instances.get(id);
    return { host, vmState, taskState, flavorRef, left: leftHostsOf(row) };
  };

  async function settled(id: string) {
    const deadline = Date.now() + 20_000;
    while ((await rowOf(id)).taskState !== null) {
      assert.ok(Date.now() < deadline, `still in ${JSON.stringify(await rowOf(id))}`);
      await sleep(20);
    }
    return rowOf(id);
  }

  const LIVE = { host: null, block_migration: 'auto' };

  describe('are refused', () => {
    it('in states in which Nova refuses them, with its words', async () => {
      const id = await make();
      for (const [action, body, state, version] of [
        ['os-start', null, 'vm_state active', '2.90'],
        ['confirmResize', null, 'vm_state active', '2.90'],
        ['revertResize', null, 'vm_state active', '2.90'],
        ['shelveOffload', null, 'vm_state active', '2.90'],
        ['unshelve', null, 'vm_state active', '2.90'],
      ] as const) {
        const answer = await act(id, action, body, version);
        assert.equal(answer.status, 409, action);
        assert.equal(wordsOf(answer), `Cannot '${action === 'os-start' ? 'start' : action}' instance ${id} while it is in ${state}`);
      }
      await api.cellDb.instances.update(id, { taskState: 'migrating' }, new Date());
      for (const [action, body] of [['os-stop', null], ['reboot', { type: 'SOFT' }], ['rebuild', { imageRef: 'x' }], ['resize', { flavorRef: '2' }], ['shelve', null], ['os-migrateLive', LIVE]] as const) {
        const answer = await act(id, action, body);
        assert.equal(answer.status, 409, action);
        assert.match(wordsOf(answer), /while it is in task_state migrating$/);
      }
      assert.deepEqual(asked, [], 'nobody was bothered');
    });

    it('to who is no administrator, and to who does not see the server', async () => {
      const id = await make();
      for (const [action, body, policy] of [
        ['os-migrateLive', LIVE, 'os-migrate-server:migrate_live'],
        ['migrate', null, 'os-migrate-server:migrate'],
        ['evacuate', {}, 'os-evacuate'],
        ['shelveOffload', null, 'os-shelve:shelve_offload'],
        ['os-resetState', { state: 'active' }, 'os-admin-actions:reset_state'],
      ] as const) {
        const answer = await act(id, action, body, '2.90', 'alice:proj');
        assert.deepEqual([answer.status, wordsOf(answer)], [403, `Policy doesn't allow os_compute_api:${policy} to be performed.`]);
        assert.equal((await act(id, action, body, '2.90', 'bob:other')).status, 404);
      }
    });

    it('for bodies that Nova refuses, by microversion', async () => {
      const id = await make();
      const cases: readonly (readonly [string, unknown, string, RegExp])[] = [
        ['reboot', { type: 'WARM' }, '2.1', /'WARM' is not one of/],
        ['reboot', null, '2.1', /None is not of type 'object'/],
        ['rebuild', {}, '2.1', /'imageRef' is a required property/],
        ['rebuild', { imageRef: 'x', key_name: 'k' }, '2.53', /'key_name' was unexpected/],
        ['rebuild', { imageRef: 'x', user_data: 'QQ==' }, '2.56', /'user_data' was unexpected/],
        ['rebuild', { imageRef: 'x', metadata: { 'hw:serial_port_count': '9' } }, '2.1', /must be a number from 1 to 4/],
        ['resize', {}, '2.1', /'flavorRef' is a required property/],
        ['resize', { flavorRef: '1' }, '2.1', /instances must change flavor/],
        ['os-migrateLive', { host: null }, '2.1', /is a required property/],
        ['os-migrateLive', { host: null, block_migration: 'auto', disk_over_commit: false }, '2.24', /'auto' is not one of/],
        ['os-migrateLive', { ...LIVE, force: true }, '2.30', /Can't force to a non-provided destination/],
        ['os-migrateLive', { ...LIVE, force: false }, '2.68', /'force' was unexpected/],
        ['migrate', { host: 'host-a' }, '2.56', /Unable to migrate instance .* to current host/],
        ['migrate', { host: 'x', more: 1 }, '2.56', /'more' was unexpected/],
        ['evacuate', {}, '2.13', /'onSharedStorage' is a required property/],
        ['evacuate', {}, '2.14', /Compute service of host-a is still in use/],
        ['unshelve', {}, '2.77', /'availability_zone' is a required property/],
        ['os-resetState', { state: 'paused' }, '2.1', /'paused' is not one of/],
      ];
      for (const [action, body, version, words] of cases) {
        const answer = await act(id, action, body, version);
        assert.equal(answer.status, 400, `${action} ${version}: ${answer.text}`);
        assert.match(wordsOf(answer), words);
      }
      const serialPorts = { name: 'x', metadata: { 'hw:serial_port_count': '5' } };
      const created = await api.ask('POST', '/v2.1/servers', { body: { server: serialPorts } });
      assert.deepEqual([created.status, wordsOf(created)], [400, 'metadata hw:serial_port_count is "5"; it must be a number from 1 to 4']);
    });

    it('when the host does not report, and nothing is written', async () => {
      const id = await make();
      await reportAgent(api, 'host-a');
      await silenceAgents(api);
      await reportAgent(api, 'host-b');
      for (const [action, body] of [['os-stop', null], ['reboot', { type: 'HARD' }], ['resize', { flavorRef: '2' }], ['os-migrateLive', LIVE], ['shelve', null]] as const) {
        const answer = await act(id, action, body);
        assert.equal(answer.status, 409, action);
        assert.match(wordsOf(answer), /host host-a has not reported lately/);
      }
      assert.deepEqual((await rowOf(id)).taskState, null);
    });
  });

  it('write the task, revoke, ask the host, and revoke again', async () => {
    const id = await make();
    for (const [action, body, expected] of [
      ['os-stop', null, ['revoke instance_stopped', 'host-a stop', 'revoke instance_stopped']],
      ['os-start', null, ['host-a start']],
      ['reboot', { type: 'soft' }, ['revoke instance_rebooted', 'host-a reboot', 'revoke instance_rebooted']],
      ['reboot', { type: 'HARD' }, ['revoke instance_rebooted', 'host-a reboot', 'revoke instance_rebooted']],
      ['os-migrateLive', LIVE, ['revoke instance_migrated', 'host-b receive live', 'host-a delete instance_migrated', 'revoke instance_migrated', 'host-b start']],
      ['resize', { flavorRef: '2' }, ['revoke instance_resized', 'host-a receive', 'host-b delete instance_resized', 'revoke instance_resized', 'host-a start']],
      ['revertResize', null, ['revoke instance_resized', 'host-b receive', 'host-a delete instance_resized', 'revoke instance_resized', 'host-b start']],
      ['shelve', null, ['revoke instance_shelved', 'host-b stop', 'host-b delete instance_shelved', 'revoke instance_shelved']],
    ] as const) {
      asked.length = 0;
      const answer = await act(id, action, body);
      assert.deepEqual([answer.status, answer.text], [202, ''], action);
      await settled(id);
      assert.deepEqual(asked, expected, action);
    }
    assert.deepEqual(await rowOf(id), { host: null, vmState: 'shelved_offloaded', taskState: null, flavorRef: '1', left: [] });
  });

  it('rebuild with what is said anew, and answer with the server as it is being rebuilt', async () => {
    const id = await make();
    const body = { imageRef: 'cirros', name: 'new', metadata: { a: 'b' }, adminPass: 'secret', user_data: 'QQ==' };
    const answer = await act(id, 'rebuild', body, '2.57');
    assert.equal(answer.status, 202, answer.text);
    const { server } = answer.json as { server: Record<string, unknown> };
    assert.deepEqual([server['name'], server['status'], server['adminPass'], server['metadata'], server['user_data']], ['new', 'REBUILD', 'secret', { a: 'b' }, 'QQ==']);
    assert.equal((server['image'] as { id: string }).id, 'cirros');
    assert.equal(answer.headers['location'], `${api.url}/v2.1/servers/${id}`);
    assert.equal(server['OS-EXT-STS:vm_state'], undefined);
    await settled(id);
    const old = await act(id, 'rebuild', { imageRef: 'cirros' }, '2.1');
    assert.equal((old.json as { server: Record<string, unknown> }).server['user_data'], undefined);
  });

  it('resize where the machine is when there is no other host, with its old flavor until it is confirmed', async () => {
    await silenceAgents(api);
    await reportAgent(api, 'host-a');
    const id = await make();
    assert.equal((await act(id, 'migrate')).status, 400, 'a cold migration needs another');
    assert.equal((await act(id, 'resize', { flavorRef: '2' })).status, 202);
    assert.deepEqual(await settled(id), { host: 'host-a', vmState: 'resized', taskState: null, flavorRef: '2', left: [] });
    const shown = (await api.ask('GET', `/v2.1/servers/${id}`)).json as { server: Record<string, unknown> };
    assert.equal(shown.server['status'], 'VERIFY_RESIZE');
    assert.equal((await act(id, 'confirmResize')).status, 204);
    assert.deepEqual(await rowOf(id), { host: 'host-a', vmState: 'active', taskState: null, flavorRef: '2', left: [] });
    assert.deepEqual((await api.cellDb.instances.get(id)).systemMetadata, {});
  });

  it('move what is off without waking it', async () => {
    const id = await make({ vmState: 'stopped' });
    await act(id, 'resize', { flavorRef: '2' });
    assert.deepEqual(await settled(id), { host: 'host-b', vmState: 'resized', taskState: null, flavorRef: '2', left: [] });
    await act(id, 'confirmResize');
    assert.equal((await rowOf(id)).vmState, 'stopped');
    assert.ok(asked.every((each) => !/receive|start/.test(each)), asked.join());
  });

  describe('that fail', () => {
    const gone = () => {
      throw new ServiceError('UNAVAILABLE', 'the agent is gone');
    };

    it('leave a server as it was when its host refuses, and pass on the words', async () => {
      const id = await make();
      troubles.set('host-a stop', () => {
        throw new ServiceError('FAILED_PRECONDITION', 'the machine does not let go');
      });
      const answer = await act(id, 'os-stop');
      assert.deepEqual([answer.status, wordsOf(answer)], [409, 'the machine does not let go']);
      assert.deepEqual(await rowOf(id), { host: 'host-a', vmState: 'active', taskState: null, flavorRef: '1', left: [] });
    });

    it('bring a server back that its new host could not take', async () => {
      const id = await make();
      troubles.set('host-b receive live', () => {
        throw new ServiceError('RESOURCE_EXHAUSTED', 'no port is left');
      });
      const answer = await act(id, 'os-migrateLive', LIVE);
      assert.deepEqual([answer.status, wordsOf(answer)], [429, 'no port is left']);
      assert.deepEqual(await rowOf(id), { host: 'host-a', vmState: 'active', taskState: null, flavorRef: '1', left: [] });
      assert.deepEqual(asked, ['revoke instance_migrated', 'host-b receive live', 'host-b delete instance_migrated', 'revoke instance_migrated']);
    });

    it('bring a server back whose new host died midway, and remember that something may be there', async () => {
      const id = await make();
      troubles.set('host-b receive', gone);
      troubles.set('host-b delete instance_resized', gone);
      assert.equal((await act(id, 'resize', { flavorRef: '2' })).status, 503);
      assert.deepEqual(await rowOf(id), { host: 'host-a', vmState: 'active', taskState: null, flavorRef: '1', left: ['host-b'] });
      troubles.clear();
      assert.equal((await act(id, 'os-migrateLive', LIVE)).status, 202);
      assert.deepEqual(await settled(id), { host: 'host-b', vmState: 'active', taskState: null, flavorRef: '1', left: [] });
    });

    it('go through with a move whose old host died midway, and remember that something may be there', async () => {
      const id = await make();
      troubles.set('host-a delete instance_migrated', gone);
      assert.equal((await act(id, 'os-migrateLive', LIVE)).status, 202);
      assert.deepEqual(await settled(id), { host: 'host-b', vmState: 'active', taskState: null, flavorRef: '1', left: ['host-a'] });
    });

    it('go through with a move whose new host restarts after the turning point', async () => {
      const id = await make();
      troubles.set('host-b start', gone);
      assert.equal((await act(id, 'os-migrateLive', LIVE)).status, 202);
      assert.deepEqual(await settled(id), { host: 'host-b', vmState: 'active', taskState: null, flavorRef: '1', left: [] });
    });

    it('go through with a move that the database wrote, though its answer was lost', async () => {
      const id = await make();
      const { instances } = api.cellDb;
      const updateIf = instances.updateIf.bind(instances);
      instances.updateIf = async (...call) => {
        const written = await updateIf(...call);
        if (call[2].host !== 'host-b') return written;
        throw new ServiceError('UNAVAILABLE', 'the connection to the database was lost');
      };
      const answer = await act(id, 'os-migrateLive', LIVE).finally(() => (instances.updateIf = updateIf));
      assert.equal(answer.status, 202, answer.text);
      assert.deepEqual(await settled(id), { host: 'host-b', vmState: 'active', taskState: null, flavorRef: '1', left: [] });
      assert.deepEqual(asked.filter((each) => /delete/.test(each)), ['host-a delete instance_migrated']);
    });

    it('end where the server was deleted meanwhile: nothing of it stays at the new host', async () => {
      const id = await make();
      troubles.set('host-b receive live', async () => {
        await api.ask('DELETE', `/v2.1/servers/${id}`);
      });
      await act(id, 'os-migrateLive', LIVE);
      assert.equal((await api.ask('GET', `/v2.1/servers/${id}`)).status, 404);
      assert.equal(asked.filter((each) => each.startsWith('host-b delete')).length, 1, asked.join());
    });

    it('leave a server shelved on a host that does not let it go, where an administrator can go on', async () => {
      const id = await make();
      troubles.set('host-a delete instance_shelved', gone);
      assert.equal((await act(id, 'shelve')).status, 503);
      assert.deepEqual(await rowOf(id), { host: 'host-a', vmState: 'shelved', taskState: null, flavorRef: '1', left: [] });
      troubles.clear();
      assert.equal((await act(id, 'shelveOffload')).status, 202);
      assert.deepEqual(await settled(id), { host: null, vmState: 'shelved_offloaded', taskState: null, flavorRef: '1', left: [] });
    });

    it('can be given up by an administrator when nobody ends them', async () => {
      const id = await make({ taskState: 'migrating' });
      assert.equal((await act(id, 'os-stop')).status, 409);
      assert.equal((await act(id, 'os-resetState', { state: 'active' })).status, 202);
      assert.equal((await act(id, 'os-stop')).status, 202);
      assert.equal((await settled(id)).vmState, 'stopped');
    });
  });

  it('answer within two seconds when the host takes longer, and go on', async () => {
    const id = await make();
    let finish = (): void => {};
    troubles.set('host-a stop', () => new Promise<void>((resolve) => (finish = resolve)));
    assert.ok((await runningMsOf(async () => assert.equal((await act(id, 'os-stop')).status, 202))) < 2_000);
    assert.equal((await rowOf(id)).taskState, 'powering-off');
    finish();
    assert.equal((await settled(id)).vmState, 'stopped');
  });

  it('let one of two who come at once do it, and tell the other', async () => {
    const id = await make();
    // Whoever is first is still at it when the last one asks.
    let allHaveAsked = (): void => {};
    const asking = new Promise<void>((resolve) => (allHaveAsked = resolve));
    for (const work of ['host-a stop', 'host-a reboot', 'host-b receive live']) troubles.set(work, () => asking);
    const answers = await Promise.all([act(id, 'os-stop'), act(id, 'reboot', { type: 'SOFT' }), act(id, 'os-migrateLive', LIVE)]);
    allHaveAsked();
    assert.deepEqual(answers.map(({ status }) => status).sort(), [202, 409, 409]);
    await settled(id);
  });
});
