import assert from 'node:assert/strict';
import { openDatabase } from './database.ts';
import type { Database } from './database.ts';
import type { Sql } from './sql.ts';
import { START_TIMEOUT_MS, TEST_DATABASES } from './testing.ts';

const KIND = { schema: 'sql_test', migrations: [{ name: '1_things', sql: 'CREATE TABLE sql_things (v integer PRIMARY KEY);' }] };

for (const kind of TEST_DATABASES) {
  describe(`statements without Prisma on ${kind.name}`, function () {
    this.timeout(30_000);
    let database: Database;
    let sql: Sql;
    let stop = async (): Promise<void> => {};
    const run = (text: string, ...values: readonly unknown[]) => sql.run({ text, values });
    const values = async (): Promise<unknown> => (await run('SELECT v FROM sql_things ORDER BY v')).rows.map(({ v }) => v);

    before(async function () {
      this.timeout(START_TIMEOUT_MS);
      const server = await kind.start();
      stop = server.stop;
      database = await openDatabase(await server.source(), KIND);
      await database.migrate();
      sql = database.sql;
    });
    beforeEach(() => run('DELETE FROM sql_things'));
    after(async () => {
      await run('DROP TABLE IF EXISTS sql_things');
      await database?.close();
      await stop();
    });

    it('that fail say so in words of ours, and the next one works, prepared or not', async () => {
      const insert = () => run('INSERT INTO sql_things (v) VALUES ($1::integer)', 1);
      await insert();
      for (let n = 0; n < 3; n += 1) await assert.rejects(insert(), { name: 'ServiceError', code: 'ALREADY_EXISTS' });
      // One that fails before it was ever answered is prepared all the same.
      for (let n = 0; n < 3; n += 1) await assert.rejects(run('SELECT 1 / (v - $1::integer) AS x FROM sql_things', 1), { code: 'INTERNAL' }).catch(() => {});
      assert.equal((await run('SELECT 1 / (v - $1::integer) AS x FROM sql_things', 0)).rows[0]?.['x'], 1);
      await assert.rejects(run('SELECT v FROM sql_nothing'), { code: 'UNAVAILABLE' });
      await assert.rejects(run('SELECT $1::text AS x', { an: 'object' }));
      assert.deepEqual(await values(), [1]);
    });

    it('take and give the types of our columns, whatever zone this process is in', async () => {
      const at = new Date('2026-03-01T12:00:00.123Z');
      const texts = ['plain', 'with "quotes"', 'back\\slash', '{a,b}', ''];
      const text = 'SELECT $1::boolean AS b, $2::bigint AS big, $3::integer AS n, $4::timestamp(3) AS at, $5::jsonb AS json, $6::text AS t, $7::text[] AS texts, $8::text AS nothing';
      for (let n = 0; n < 2; n += 1) {
        const { rows } = await run(text, true, 2n ** 60n, 7, at, JSON.stringify({ a: [1] }), 'Ällo', texts, null);
        assert.deepEqual(rows, [{ b: true, big: 2n ** 60n, n: 7, at, json: { a: [1] }, t: 'Ällo', texts, nothing: null }]);
      }
    });

    it('read moments as Date does, whatever part of the second they have, and those that it has none for as invalid', async () => {
      const texts = ['2026-03-01 12:00:00', '2026-03-01 12:00:00.1', '2026-03-01 12:00:00.57', '2026-12-31 23:59:59.999', '1969-12-31 23:59:59.99', '0999-01-01 00:00:00', '9999-12-31 23:59:59.007'];
      const { rows } = await run('SELECT at FROM unnest($1::timestamp[]) WITH ORDINALITY AS moments(at, n) ORDER BY n', texts);
      assert.deepEqual(rows.map(({ at }) => at), texts.map((text) => new Date(`${text.replace(' ', 'T')}Z`)));
      const [odd] = (await run("SELECT 'infinity'::timestamp AS later, '0044-03-15 12:00:00 BC'::timestamp AS before")).rows;
      assert.deepEqual([odd?.['later'], odd?.['before']].map((at) => (at as Date).getTime()), [NaN, NaN]);
    });

    it('are counted: what was written, what was found', async () => {
      assert.equal((await run('INSERT INTO sql_things (v) SELECT generate_series(1, 5)')).count, 5);
      assert.equal((await run('DELETE FROM sql_things WHERE v > $1::integer', 3)).count, 2);
      assert.equal((await run('DELETE FROM sql_things WHERE v > $1::integer', 3)).count, 0);
    });

    it('in a transaction are all done or none, also when its caller caught the error', async () => {
      const insert = (v: number) => ({ text: 'INSERT INTO sql_things (v) VALUES ($1::integer)', values: [v] });
      const mine = new TypeError('mine');
      await assert.rejects(sql.transaction(async (ask) => {
        await ask(insert(1));
        throw mine;
      }), (error) => error === mine);
      await assert.rejects(sql.transaction(async (ask) => {
        await ask(insert(2));
        await ask(insert(2)).catch(() => {});
        return 'believed to be written';
      }), { code: 'ALREADY_EXISTS' });
      assert.deepEqual(await values(), []);
      assert.equal(await sql.transaction(async () => 'nothing asked'), 'nothing asked');
      await sql.transaction((ask) => ask(insert(3)));
      assert.deepEqual(await values(), [3]);
    });

    it('asked together in a transaction are done in their order, each with its own answer', async () => {
      const answers = await sql.transaction((ask) => Promise.all([
        ask({ text: 'INSERT INTO sql_things (v) VALUES (1)', values: [] }),
        ask({ text: 'SELECT v FROM sql_things', values: [] }),
        ask({ text: 'UPDATE sql_things SET v = v + 1', values: [] }),
        ask({ text: 'SELECT v AS w FROM sql_things', values: [] }),
      ]));
      assert.deepEqual(answers.map(({ rows }) => rows), [[], [{ v: 1 }], [], [{ w: 2 }]]);
      assert.deepEqual(await values(), [2]);
    });

    it('sent together are one transaction: each has its own answer, and the first that fails takes back the others', async () => {
      const insert = (v: number) => ({ text: 'INSERT INTO sql_things (v) VALUES ($1::integer)', values: [v] });
      const answers = await sql.together([insert(1), { text: 'SELECT v FROM sql_things', values: [] }]);
      assert.deepEqual(answers.map(({ count, rows }) => [count, rows]), [[1, []], [1, [{ v: 1 }]]]);
      await assert.rejects(sql.together([insert(2), insert(1), insert(3)]), { code: 'ALREADY_EXISTS' });
      assert.deepEqual(await values(), [1]);
    });

    it('asked last travel with the COMMIT: done with the rest, or nothing is, and none comes after them', async () => {
      const insert = (v: number) => ({ text: 'INSERT INTO sql_things (v) VALUES ($1::integer)', values: [v] });
      assert.equal(await sql.transaction(async (ask) => (await ask(insert(1))).count, (ask, count) => Promise.all([ask(insert(count + 1)), ask(insert(3))])), 1);
      assert.equal(await sql.transaction(async () => 'nothing before', (ask) => ask(insert(4))), 'nothing before');
      assert.equal(await sql.transaction(async () => 'nothing at all', async () => {}), 'nothing at all');
      await assert.rejects(sql.transaction((ask) => ask(insert(5)), (ask) => Promise.all([ask(insert(6)), ask(insert(4))])), { code: 'ALREADY_EXISTS' });
      await assert.rejects(sql.transaction((ask) => ask(insert(7)), () => { throw new Error('mine'); }), { message: 'mine' });
      await assert.rejects(sql.transaction((ask) => ask(insert(8)), async (ask) => {
        await ask(insert(9));
        await ask(insert(10));
      }), { message: /after its transaction had ended/ });
      assert.deepEqual(await values(), [1, 2, 3, 4, 8, 9]);
    });

    it('asked when their transaction has failed or ended are not done', async () => {
      let late: Promise<unknown> = Promise.resolve();
      const write = { text: 'INSERT INTO sql_things (v) VALUES (9)', values: [] };
      await assert.rejects(sql.transaction(async (ask) => {
        await ask({ text: 'SELECT 1 AS one', values: [] });
        late = new Promise((resolve) => setTimeout(resolve, 20)).then(() => ask(write));
        late.catch(() => {});
        throw new Error('mine');
      }), { message: 'mine' });
      await assert.rejects(late);
      assert.deepEqual(await values(), []);
    });

    // The embedded one has no connections that it could end.
    if (kind.name === 'PostgreSQL') it('of a transaction whose connection the server ends while it waits are refused, and the process lives on', async () => {
      const lost = sql.transaction(async (ask) => {
        const [row] = (await ask({ text: 'SELECT pg_backend_pid() AS pid', values: [] })).rows;
        await run('SELECT pg_terminate_backend($1::integer)', row?.['pid']);
        await new Promise((resolve) => setTimeout(resolve, 200));
        await ask({ text: 'INSERT INTO sql_things (v) VALUES (1)', values: [] });
      });
      await assert.rejects(lost, { name: 'ServiceError', code: 'UNAVAILABLE' });
      assert.deepEqual(await values(), []);
    });

    it('of a transaction that takes too long are taken back, and its connection is not used again', async function () {
      this.timeout(40_000);
      await assert.rejects(sql.transaction(async (ask) => {
        await ask({ text: 'INSERT INTO sql_things (v) VALUES (1)', values: [] });
        await new Promise((resolve) => setTimeout(resolve, 10_500));
        await ask({ text: 'SELECT 1 AS one', values: [] });
      }), { code: 'UNAVAILABLE', message: /too busy/ });
      assert.deepEqual(await values(), []);
    });
  });
}
