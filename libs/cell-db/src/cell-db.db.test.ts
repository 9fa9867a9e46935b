import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'mocha';
import { inspect } from 'node:util';
import { ServiceError } from '@gatehouse/errors/service-error';
import { startOwnPostgresql } from '../../../test/servers/postgresql.ts';
import type { OwnPostgresql } from '../../../test/servers/postgresql.ts';
import { openCellDb } from './cell-db.ts';
import type { CellDb } from './cell-db.ts';
import { newInstance, onEachCellDb } from './testing.ts';

const PASSWORD = 'pa55-w0rd';

/** Every way to use the database, each of which must fail in words. */
async function assertUnavailable(db: CellDb, message: RegExp): Promise<void> {
  const uses = [
    () => db.check(),
    () => db.migrate(),
    () => db.instances.find(randomUUID()),
    () => db.consoleTokens.deleteExpired(new Date(), 1),
    () => db.transaction((stores) => stores.instances.count()),
  ];
  for (const use of uses) {
    await assert.rejects(use, (error) => {
      assert.ok(error instanceof ServiceError);
      assert.equal(error.code, 'UNAVAILABLE');
      assert.match(error.message, message);
      assert.doesNotMatch(inspect(error, { depth: 12, showHidden: true }), new RegExp(PASSWORD), 'no password, not even in a cause');
      return true;
    });
  }
}

describe('a cell database that is not there', () => {
  let server: OwnPostgresql;
  let hostAndPort: string;

  before(async function () {
    this.timeout(60_000);
    server = await startOwnPostgresql();
    hostAndPort = new URL(server.url).host;
  });
  after(() => server.stop());

  it('is an error at once when the URL cannot be one of PostgreSQL, without showing it', async () => {
    for (const url of ['', 'nonsense', `mysql://u:${PASSWORD}@h/x`, `postgresql:/u:${PASSWORD}@h`, `postgresql://u:${PASSWORD}@h/`, `postgresql://u:${PASSWORD}@h:x/d`]) {
      await assert.rejects(openCellDb({ url }), (error) => {
        assert.ok(error instanceof ServiceError && error.code === 'INVALID_ARGUMENT');
        assert.match(error.message, /expected a database URL like postgresql:/);
        assert.doesNotMatch(inspect(error, { depth: 12, showHidden: true }), new RegExp(PASSWORD));
        return true;
      });
    }
    await assert.rejects(openCellDb({ url: 'postgresql://h/d?schema=cell' }), { message: /without \?schema=/ });
  });

  it('is unavailable while nothing listens, and its password stays hidden', async function () {
    this.timeout(30_000);
    const db = await openCellDb({ url: `postgresql://ann:${PASSWORD}@127.0.0.1:1/cell` });
    await assertUnavailable(db, /cannot be reached/);
    await db.close();
  });

  it('is unavailable while the server lacks the database or the user', async function () {
    this.timeout(30_000);
    const lacking = await openCellDb({ url: `postgresql://gatehouse:${PASSWORD}@${hostAndPort}/nowhere` });
    await assertUnavailable(lacking, /does not exist/);
    await lacking.close();
    const unknown = await openCellDb({ url: `postgresql://stranger:${PASSWORD}@${hostAndPort}/postgres` });
    await assertUnavailable(unknown, /refused our user or password/);
    await unknown.close();
  });

  it('says what is missing before its tables are made', async () => {
    const db = await openCellDb({ url: await server.createDatabase() });
    await assert.rejects(db.check(), { code: 'UNAVAILABLE', message: 'the database has not been migrated yet' });
    await assert.rejects(db.instances.find(randomUUID()), { code: 'UNAVAILABLE', message: 'the database has not been migrated yet' });
    await assert.rejects(db.transaction(({ instances }) => instances.lock(randomUUID())), { code: 'UNAVAILABLE' });
    await db.close();
    await db.close();
    await assert.rejects(db.check(), { code: 'UNAVAILABLE' });
  });

  it('comes back by itself after the server was restarted, and keeps what was written', async function () {
    this.timeout(60_000);
    const db = await openCellDb({ url: await server.createDatabase() });
    await db.migrate();
    const { uuid } = await db.instances.create(newInstance());
    const interrupted = assert.rejects(
      db.transaction(async ({ instances }) => {
        await instances.create(newInstance());
        await server.restart();
        await instances.count();
      }),
      { name: 'ServiceError', code: 'UNAVAILABLE' },
    );
    await interrupted;
    assert.equal((await db.instances.get(uuid)).uuid, uuid);
    assert.equal(await db.instances.count(), 1);
    await db.close();
  });

  it('does not use a connection again whose transaction could not be ended in time', async function () {
    this.timeout(30_000);
    const url = await server.createDatabase();
    const [db, other] = [await openCellDb({ url: `${url}?query_timeout=2500`, connectionsMax: 1 }), await openCellDb({ url })];
    await other.migrate();
    const { uuid } = await other.instances.create(newInstance());
    await other.transaction(async ({ instances }) => {
      await instances.lock(uuid);
      await assert.rejects(db.transaction((stores) => stores.instances.lock(uuid)), { code: 'UNAVAILABLE' });
    });
    await db.instances.update(uuid, { vmState: 'active' }, new Date());
    assert.equal((await other.instances.get(uuid)).vmState, 'active');
    await Promise.all([db.close(), other.close()]);
  });

  it('refuses in time when all its connections are taken', async function () {
    this.timeout(30_000);
    const db = await openCellDb({ url: await server.createDatabase(), connectionsMax: 1 });
    await db.migrate();
    // The mistake that the interface warns of: another connection inside the transaction, and there is none.
    const mistaken = db.transaction(async ({ instances }) => {
      await instances.count();
      await db.instances.count();
    });
    await assert.rejects(mistaken, { code: 'UNAVAILABLE', message: /too busy/ });
    await db.close();
  });
});

onEachCellDb('a transaction', (db) => {
  it('that throws takes everything back, and the caller gets its own error', async () => {
    const instance = newInstance();
    const mine = new TypeError('mine');
    await assert.rejects(
      db().transaction(async ({ instances }) => {
        await instances.create(instance);
        throw mine;
      }),
      (error) => error === mine,
    );
    assert.equal(await db().instances.find(instance.uuid), null);
  });

  it('in which a statement failed fails, though its caller caught the error', async () => {
    const instance = newInstance();
    const caught = db().transaction(async ({ instances }) => {
      await instances.create(instance);
      await instances.create(instance).catch(() => {});
      return 'believed to be written';
    });
    await assert.rejects(caught, { code: 'ALREADY_EXISTS' });
    assert.equal(await db().instances.find(instance.uuid), null);
  });

  it('is over when it has taken too long, and its connection is free again', async function () {
    this.timeout(30_000);
    const instance = newInstance();
    await assert.rejects(
      db().transaction(async ({ instances }) => {
        await instances.create(instance);
        await new Promise((resolve) => setTimeout(resolve, 10_500));
        await instances.count();
      }),
      { code: 'UNAVAILABLE', message: /too busy/ },
    );
    assert.equal(await db().instances.find(instance.uuid), null);
    await db().check();
  });

  it('is done again when it met another one crosswise', async function () {
    this.timeout(30_000);
    const [a, b] = [await db().instances.create(newInstance()), await db().instances.create(newInstance())];
    let started = 0;
    const cross = (first: string, second: string) =>
      db().transaction(async ({ instances }) => {
        started += 1;
        await instances.update(first, { taskState: first }, new Date());
        await new Promise((resolve) => setTimeout(resolve, 100));
        await instances.update(second, { taskState: first }, new Date());
      });
    await Promise.all([cross(a.uuid, b.uuid), cross(b.uuid, a.uuid)]);
    const [after1, after2] = [await db().instances.get(a.uuid), await db().instances.get(b.uuid)];
    assert.equal(after1.taskState, after2.taskState);
    assert.deepEqual([after1.generation, after2.generation], [2, 2]);
    assert.ok(started <= 4);
  });

  it('does not see what another one has not committed', async () => {
    const instance = newInstance();
    let seen: Promise<unknown> = Promise.resolve('not asked');
    await db().transaction(async ({ instances }) => {
      await instances.create(instance);
      seen = db().instances.find(instance.uuid);
      await new Promise((resolve) => setTimeout(resolve, 150));
      await instances.update(instance.uuid, { vmState: 'active' }, new Date());
    });
    const found = (await seen) as { vmState: string } | null;
    // On a server it looked meanwhile and saw nothing; the embedded one made it wait for its turn.
    assert.ok(found === null || found.vmState === 'active');
  });
});
