import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'mocha';
import pg from 'pg';
import { openDatabase } from './database.ts';
import { openEmbeddedPostgresql } from './embedded-postgresql.ts';
import type { EmbeddedPostgresql } from './embedded-postgresql.ts';
import { EmbeddedSocket } from './embedded-socket.ts';
import { START_TIMEOUT_MS } from './testing.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

describe('the embedded PostgreSQL', () => {
  let folder: string;
  let server: EmbeddedPostgresql;

  before(async function () {
    this.timeout(START_TIMEOUT_MS);
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-embedded-'));
    server = await openEmbeddedPostgresql(join(folder, 'deep', 'data'));
  });
  after(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function connect(schema = 'public'): Promise<pg.Client> {
    const client = new pg.Client({ stream: () => new EmbeddedSocket(server, schema), user: 'postgres', password: '', ssl: false, host: 'x', database: 'x' });
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  it('cannot be opened in a place that is a file', async () => {
    const file = join(folder, 'file');
    await writeFile(file, 'x');
    await assert.rejects(openEmbeddedPostgresql(file), { code: 'FAILED_PRECONDITION', message: /cannot use .*file; move it away/ });
  });

  it('refuses a schema whose name could say more than a name', async () => {
    await assert.rejects(server.takeTurn('x"; DROP SCHEMA public; --'), { code: 'INVALID_ARGUMENT' });
    const client = await connect();
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1);
    await client.end();
  });

  it('drops a connection that speaks something else, and serves the others', async () => {
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
      Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]),
      Buffer.concat([Buffer.from([0, 0, 0, 8, 0, 3, 0, 0]), Buffer.from('Q'), Buffer.from([255, 255, 255, 255])]),
    ]) {
      const socket = new EmbeddedSocket(server, 'public');
      const failed = new Promise((resolve) => socket.once('error', resolve));
      socket.resume();
      socket.write(bytes);
      assert.ok((await failed) instanceof Error);
    }
    const client = await connect();
    assert.equal((await client.query('SELECT 2 AS two')).rows[0].two, 2);
    await client.end();
  });

  it('takes messages in pieces of a byte', async () => {
    const socket = new EmbeddedSocket(server, 'public');
    const answers: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => answers.push(chunk));
    const query = Buffer.from('SELECT 41 + 1\0');
    const bytes = Buffer.concat([Buffer.from([0, 0, 0, 8, 0, 3, 0, 0]), Buffer.from('Q'), Buffer.from([0, 0, 0, query.length + 4]), query, Buffer.from('X\0\0\0\u0004')]);
    for (const byte of bytes) socket.write(Buffer.from([byte]));
    await new Promise((resolve) => socket.once('end', resolve));
    assert.match(Buffer.concat(answers).toString('latin1'), /42/);
  });

  it('keeps a transaction together while other connections wait for their turn', async () => {
    const [one, two] = [await connect(), await connect()];
    await one.query('CREATE TABLE counters (n INTEGER); INSERT INTO counters VALUES (0)');
    await Promise.all([one, two].map(async (client) => {
      for (let turn = 0; turn < 20; turn += 1) {
        await client.query('BEGIN');
        const { n } = (await client.query<{ n: number }>('SELECT n FROM counters')).rows[0] ?? assert.fail();
        await new Promise((resolve) => setImmediate(resolve));
        await client.query('UPDATE counters SET n = $1', [n + 1]);
        await client.query('COMMIT');
      }
    }));
    assert.equal((await one.query('SELECT n FROM counters')).rows[0].n, 40);
    await Promise.all([one.end(), two.end()]);
  });

  it('takes back the transaction of a connection that breaks off, even after an error in it', async () => {
    for (const last of ['UPDATE things SET n = 2', 'SELECT nonsense']) {
      const [gone, other] = [await connect(), await connect()];
      await other.query('DROP TABLE IF EXISTS things; CREATE TABLE things (n INTEGER); INSERT INTO things VALUES (1)');
      await gone.query('BEGIN');
      await gone.query('UPDATE things SET n = 3');
      await gone.query(last, []).catch(() => {});
      const waiting = other.query('SELECT n FROM things');
      (gone as unknown as { connection: { stream: EmbeddedSocket } }).connection.stream.destroy();
      assert.equal((await waiting).rows[0].n, 1);
      await other.end();
    }
  });

  it('does not run the statement of a connection that gave up waiting', async () => {
    const [holder, impatient] = [await connect(), await connect()];
    await holder.query('CREATE TABLE patience (n INTEGER); BEGIN');
    const given = impatient.query('INSERT INTO patience VALUES (1)').catch(() => 'gave up');
    await new Promise((resolve) => setTimeout(resolve, 50));
    (impatient as unknown as { connection: { stream: EmbeddedSocket } }).connection.stream.destroy();
    assert.equal(await given, 'gave up');
    await holder.query('COMMIT');
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal((await holder.query('SELECT count(*)::int AS n FROM patience')).rows[0].n, 0);
    await holder.end();
  });

  it('shows each connection its own schema alone', async () => {
    const [one, two] = [await connect('left'), await connect('right')];
    for (const client of [one, two]) await client.query(`CREATE SCHEMA IF NOT EXISTS "${client === one ? 'left' : 'right'}"`);
    await Promise.all([one.query(`CREATE TABLE same (side TEXT); INSERT INTO same VALUES ('left')`), two.query(`CREATE TABLE same (side TEXT); INSERT INTO same VALUES ('right')`)]);
    const sides = await Promise.all([one, two, one, two].map(async (client) => (await client.query('SELECT side FROM same')).rows.map(({ side }) => side)));
    assert.deepEqual(sides, [['left'], ['right'], ['left'], ['right']]);
    await Promise.all([one.end(), two.end()]);
  });

  it('keeps its rows over a restart, and refuses whoever comes after it was closed', async function () {
    this.timeout(START_TIMEOUT_MS);
    const data = join(folder, 'deep', 'data');
    const client = await connect();
    await client.query(`CREATE TABLE kept (words TEXT); INSERT INTO kept VALUES ('still here')`);
    await client.end();
    await server.close();
    await server.close();
    await assert.rejects(server.takeTurn('public'), { code: 'UNAVAILABLE' });

    server = await openEmbeddedPostgresql(data);
    const again = await connect();
    assert.equal((await again.query('SELECT words FROM kept')).rows[0].words, 'still here');
    await again.end();
  });

  it('keeps what was committed when its process is killed in the middle of writing', async function () {
    this.timeout(2 * START_TIMEOUT_MS);
    const data = join(folder, 'killed');
    const program = `
      import { openDatabase } from '@gatehouse/database/database';
      const sql = 'CREATE TABLE written (n INTEGER)';
      const database = await openDatabase({ dataDir: ${JSON.stringify(data)} }, { schema: 'killed', migrations: [{ name: '1_first', sql }] });
      await database.migrate();
      const adapter = await database.adapter.connect();
      for (let n = 1; ; n += 1) {
        await adapter.executeRaw({ sql: 'INSERT INTO killed.written VALUES (' + n + ')', args: [], argTypes: [] });
        process.stdout.write(n + '\\n');
      }`;
    const child = spawn(process.execPath, ['--import=tsx', '--input-type=module', '--eval', program], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    let last = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      last = Number(line);
      if (last === 200) child.kill('SIGKILL');
    }
    assert.ok(last >= 200);
    const database = await openDatabase({ dataDir: data }, { schema: 'killed', migrations: [{ name: '1_first', sql: 'CREATE TABLE written (n INTEGER)' }] });
    assert.deepEqual(await database.migrate(), { applied: [] });
    const adapter = await database.adapter.connect();
    const { rows } = await adapter.queryRaw({ sql: 'SELECT count(*)::int, max(n) FROM killed.written', args: [], argTypes: [] });
    const [count, max] = (rows[0] ?? []) as number[];
    assert.ok(count === max && (max ?? 0) >= last && (max ?? 0) <= last + 1, `${count} rows up to ${max} after ${last} were confirmed`);
    await database.close();
  });
});
