import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { newContext } from '@gatehouse/rpc/context';
import { HOST, ports, refused, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';

describe('attach secrets that are shown together', function () {
  this.timeout(60_000);
  let bench: ConsoleAuths;
  before(async () => (bench = await startConsoleAuths()));
  after(() => bench?.stop());
  beforeEach(() => bench.report());

  interface Opened {
    readonly uuid: string;
    readonly grant: ConsoleGrant;
  }

  async function open(): Promise<Opened> {
    const uuid = await bench.makeInstance();
    const { token } = await bench.mint(ports(uuid, 'serial'));
    return { uuid, grant: await bench.connect({ token }) };
  }
  const openMany = (count: number): Promise<readonly Opened[]> => Promise.all(Array.from({ length: count }, open));
  const show = (grants: readonly ConsoleGrant[], { host = HOST, of = 0, secrets = grants.map(({ attachSecret }) => attachSecret ?? '') } = {}) =>
    bench.client.attachAll({ host, sessionIds: grants.map(({ session }) => session.id), attachSecrets: secrets }, newContext(), { server: `consoleauth-${of}` });

  /** Their sessions are held until it is committed. */
  async function revoke(consoles: readonly Opened[]): Promise<{ commit(): Promise<void> }> {
    let held = (): void => {};
    const isHeld = new Promise<void>((resolve) => (held = resolve));
    let letGo = (): void => {};
    const goes = new Promise<void>((resolve) => (letGo = resolve));
    const committed = bench.dbs[1].consoleTransaction(async ({ consoleSessionEnds }) => {
      await consoleSessionEnds.mark({ ids: consoles.map(({ grant }) => grant.session.id) }, 'instance_deleted', bench.clock.now(), consoles.length);
      held();
      await goes;
    });
    await isHeld;
    return {
      commit() {
        letGo();
        return committed;
      },
    };
  }

  /** What statements of the database wait for, once so many do. */
  async function waits(count: number): Promise<readonly string[]> {
    const client = new pg.Client({ connectionString: bench.url });
    await client.connect();
    try {
      for (const until = performance.now() + 10_000; ; await pause(20)) {
        const { rows } = await client.query<{ readonly locktype: string }>(`
          SELECT locktype FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database() ORDER BY locktype`);
        if (rows.length === count) return rows.map(({ locktype }) => locktype);
        assert.ok(performance.now() < until, `${rows.length} wait, not ${count}`);
      }
    } finally {
      await client.end();
    }
  }

  it('are refused as a whole when they are not one for each session', async () => {
    const [first, second] = (await openMany(2)).map(({ grant }) => grant) as [ConsoleGrant, ConsoleGrant];
    const words = refused('INVALID_ARGUMENT', /each session once, and as many attach_secrets/);
    await assert.rejects(show([first, second], { secrets: [first.attachSecret ?? ''] }), words);
    await assert.rejects(show([first, first]), words);
    assert.deepEqual(Object.keys(await show([first])), [first.session.id], 'nothing was spent');
  });

  it('open nothing where they are wrong, unknown, spent, replaced or of another host, and hinder no other', async () => {
    const all = (await openMany(4)).map(({ grant }) => grant) as [ConsoleGrant, ConsoleGrant, ConsoleGrant, ConsoleGrant];
    const [good, spent, resumed, wrong] = all;
    await bench.attach(spent.session.id, spent.attachSecret);
    const again = await bench.connect({ resumeGrant: resumed.resumeGrant, proxy: 'proxy-2', of: 1 });
    const unknown = { ...good, session: { ...good.session, id: randomUUID() } };
    assert.deepEqual(await show(all, { host: 'compute-2' }), {});
    const opened = await show([wrong, unknown, resumed, spent, good], { secrets: ['wrong', ...[unknown, resumed, spent, good].map(({ attachSecret }) => attachSecret ?? '')] });
    assert.deepEqual(Object.keys(opened), [good.session.id]);
    assert.deepEqual([opened[good.session.id]?.instanceUuid, opened[good.session.id]?.port], [good.session.instanceUuid, 0]);
    assert.deepEqual(Object.keys(await show([again, wrong])).sort(), [again.session.id, wrong.session.id].sort());
  });

  it('open nothing that was revoked or marked meanwhile, by whichever consoleauth', async () => {
    const all = await openMany(4);
    const [revoked, marked, released, good] = all as [Opened, Opened, Opened, Opened];
    await bench.revoke(revoked.uuid, 'instance_stopped', 1);
    await bench.dbs[1].consoleSessionEnds.mark({ ids: [marked.grant.session.id] }, 'ended_by_operator', bench.clock.now(), 1);
    await bench.release('proxy-1', released.grant.session.id);
    assert.deepEqual(Object.keys(await show(all.map(({ grant }) => grant))), [good.grant.session.id]);
  });

  it('wait for a revocation that is under way, and see it', async () => {
    const all = await openMany(3);
    const gone = all[1] as Opened;
    const revocation = await revoke([gone]);
    const shown = show(all.map(({ grant }) => grant));
    await revocation.commit();
    assert.deepEqual(Object.keys(await shown).sort(), [all[0], all[2]].map((each) => each?.grant.session.id).sort());
  });

  it('queue for the same session first, in whichever order they are shown', async () => {
    const both = await openMany(2);
    const grants = both.map(({ grant }) => grant);
    const revocation = await revoke(both);
    const shown = [show(grants), show(grants.toReversed(), { of: 1 })];
    // One waits for who holds the row, and one behind it; were they at two rows, each would then want the other's.
    assert.deepEqual(await waits(2), ['transactionid', 'tuple']);
    await revocation.commit();
    assert.deepEqual(await Promise.all(shown), [{}, {}]);
  });

  it('open each console once, however many ask at a time', async () => {
    const grants = (await openMany(6)).map(({ grant }) => grant);
    const orders = [grants, grants.toReversed(), grants.slice(2), grants.slice(0, 4).toReversed()];
    const answers = await Promise.all([...orders.map((order, of) => show(order, { of: of % 2 })), ...grants.map(({ session, attachSecret }) => bench.attach(session.id, attachSecret).then(() => ({ [session.id]: true }), () => ({})))]);
    assert.deepEqual(answers.flatMap((answer) => Object.keys(answer)).sort(), grants.map(({ session }) => session.id).sort());
  });
});
