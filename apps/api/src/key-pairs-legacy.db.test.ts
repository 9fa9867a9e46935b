/** Key pairs that have not left their cells yet, over REST, beside those that have: failures first. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { CELL_LOOK_EVERY_MS } from './legacy-key-pairs.ts';
import { serveAgent, startTestApi } from './test-api.ts';
import { startLegacyHouse } from './test-legacy.ts';
import type { LegacyHouse } from './test-legacy.ts';

const vector = (name: string): string => readFileSync(new URL(`../test-vectors/keys/${name}`, import.meta.url), 'utf8').trim();
const ED25519 = vector('ed25519.pub');
const OTHER = vector('ecdsa256.pub');
const KEYPAIRS = '/v2.1/os-keypairs';

type Shown = { readonly keypair: Readonly<Record<string, unknown>> };
type Listed = { readonly keypairs: readonly Shown[]; readonly keypairs_links?: readonly { readonly href: string }[] };

describe('key pairs that have not left their cells', function () {
  this.timeout(60_000);
  let house: LegacyHouse;
  before(async () => {
    house = await startLegacyHouse(ED25519, { keyPairsMax: 6 });
  });
  after(() => house?.stop());

  const ask = (user: string, method: string, path = '', body?: object, version = '2.92') =>
    house.api.ask(method, path.startsWith('/v') ? path : `${KEYPAIRS}${path}`, { version, token: `${user}:p`, ...(body === undefined ? {} : { body }) });
  const create = (user: string, name: string, publicKey = ED25519) => ask(user, 'POST', '', { keypair: { name, public_key: publicKey } });
  const shown = async (user: string, name: string) => ((await ask(user, 'GET', `/${name}`)).json as Shown).keypair;
  const names = async (user: string, query = '') => ((await ask(user, 'GET', query)).json as Listed).keypairs.map(({ keypair }) => keypair['name']);
  const inUse = async (user: string) => ((await ask(user, 'GET', '/v2.1/os-quota-sets/p/detail')).json as { quota_set: { key_pairs: { in_use: number } } }).quota_set.key_pairs.in_use;

  describe('while a cell is away', () => {
    it('are not said to be missing: 503 for all but what the API database has, and everything again when it is back', async () => {
      await house.plant(1, 'anna', 'far');
      await house.plant(0, 'anna', 'near');
      await create('anna', 'here');
      const bringBack = await house.hide(1);
      try {
        for (const [method, path, body] of [
          ['GET', '/far'], ['GET', '/never'], ['DELETE', '/far'], ['GET', ''], ['GET', '?marker=here'], ['GET', '/v1/keypairs'], ['GET', '/v2.1/os-quota-sets/p/detail'],
          ['POST', '', { keypair: { name: 'new', public_key: ED25519 } }],
        ] as const) {
          const answer = await ask('anna', method, path, body);
          assert.equal(answer.status, 503, `${method} ${path}: ${answer.text}`);
          assert.match(answer.text, /a cell may still have key pairs and its database does not answer; try again/);
          assert.equal(answer.headers['retry-after'], '1');
        }
        assert.equal((await ask('anna', 'GET', '/here')).status, 200);
      } finally {
        await bringBack();
      }
      assert.deepEqual(await names('anna'), ['far', 'here', 'near']);
      assert.equal((await ask('anna', 'DELETE', '/far')).status, 204);
    });

    it('make no server: its key is not said to be unknown', async () => {
      await house.plant(1, 'berta', 'far');
      const bringBack = await house.hide(1);
      const server = { server: { name: 's', imageRef: '', flavorRef: '1', networks: 'none', key_name: 'far' } };
      try {
        assert.equal((await ask('berta', 'POST', '/v2.1/servers', server)).status, 503);
      } finally {
        await bringBack();
      }
    });

    it('may be in a cell that was never reached since the start', async () => {
      const postgresql = await startPostgresql();
      const away = await openCellDb({ url: 'postgresql://nobody@127.0.0.1:1/none' });
      const api = await startTestApi(postgresql, {}, true, { legacyCells: [away] });
      try {
        assert.equal((await api.ask('GET', KEYPAIRS)).status, 503);
        assert.equal((await api.ask('GET', `${KEYPAIRS}/key`)).status, 503);
      } finally {
        await away.close();
        await api.stop();
      }
    });
  });

  describe('beside those that have', () => {
    it('are not found once deleted, without a user, or as another\'s', async () => {
      await house.plant(0, 'carl', 'gone', { deleted: 77, deleted_at: '2017-01-01' });
      await house.plant(0, null, 'nobodys');
      await house.plant(0, 'dora', 'hers');
      for (const name of ['gone', 'nobodys', 'hers']) {
        assert.deepEqual([(await ask('carl', 'GET', `/${name}`)).status, (await ask('carl', 'DELETE', `/${name}`)).status], [404, 404]);
      }
      assert.deepEqual(await names('carl'), []);
      assert.equal((await ask('carl', 'GET', '/hers?user_id=dora')).status, 403);
      assert.equal((await ask('admin', 'GET', '/hers?user_id=dora')).status, 200);
      assert.equal((await create('carl', 'gone')).status, 201, 'a deleted name is free');
    });

    it('are shown whole although their rows lack what newer ones have', async () => {
      await house.plant(0, 'emil', 'bare', { fingerprint: null, created_at: null, type: 'ssh' });
      await house.plant(0, 'emil', 'certificate', { fingerprint: null, public_key: vector('x509.pem'), type: 'x509' });
      await house.plant(0, 'emil', 'empty', { fingerprint: null, public_key: null });
      await house.plant(1, 'emil', 'odd', { fingerprint: null, public_key: 'ssh-rsa not-base64', created_at: 'infinity', set_aside: 'it has no fingerprint' });
      assert.deepEqual(await shown('emil', 'bare'), {
        name: 'bare', public_key: ED25519, fingerprint: (await create('emil', 'parsed')).text.match(/([0-9a-f]{2}:){15}[0-9a-f]{2}/)?.[0], user_id: 'emil', created_at: null,
        deleted: false, deleted_at: null, id: (await shown('emil', 'bare'))['id'], updated_at: null, type: 'ssh',
      });
      assert.match(String((await shown('emil', 'certificate'))['fingerprint']), /^([0-9a-f]{2}:){19}[0-9a-f]{2}$/);
      const listed = ((await ask('emil', 'GET')).json as Listed).keypairs.map(({ keypair }) => keypair);
      assert.deepEqual(listed.map(({ name, type }) => [name, type]), [['bare', 'ssh'], ['certificate', 'x509'], ['empty', 'ssh'], ['odd', 'ssh'], ['parsed', 'ssh']]);
      assert.deepEqual(listed.slice(2, 4).map(({ fingerprint }) => fingerprint), [null, null]);
      const own = ((await ask('emil', 'GET', '/v1/keypairs')).json as { keypairs: Record<string, unknown>[] }).keypairs;
      assert.deepEqual(own.map(({ algorithm }) => algorithm), ['ssh-ed25519', 'x509', null, null, 'ssh-ed25519']);
      for (const name of ['bare', 'certificate', 'empty', 'odd']) assert.equal((await ask('emil', 'DELETE', `/${name}`)).status, 204);
    });

    it('keep id and created_at when they move', async () => {
      await house.plant(0, 'fritz', 'key', { id: 4_711, updated_at: '2016-04-01' });
      const before = await shown('fritz', 'key');
      assert.deepEqual([before['id'], before['created_at'], before['updated_at']], [4_711, '2016-03-01T12:00:00.500000', '2016-04-01T00:00:00.000000']);
      while ((await house.api.cellDb.legacyKeyPairs.names('fritz')).length > 0) await house.moveOne(0);
      assert.deepEqual(await shown('fritz', 'key'), before);
    });

    it('stay deleted where a move that is dead had sent them, and the API database stored them only after that', async () => {
      await house.plant(0, 'nora', 'key');
      let commit = (): void => {};
      const stalled = new Promise<void>((resolve) => (commit = resolve));
      let sent = (): void => {};
      const isSent = new Promise<void>((resolve) => (sent = resolve));
      // As the server goes on with the INSERT of a client that was killed, while the cell has let go of its row.
      const insert = house.api.apiDb.transaction(async ({ keyPairs }) => {
        await keyPairs.create({ userId: 'nora', name: 'key', type: 'ssh', publicKey: ED25519, fingerprint: 'aa:bb', createdAt: new Date() });
        sent();
        await stalled;
      });
      await isSent;
      const deleted = ask('nora', 'DELETE', '/key');
      await new Promise((resolve) => setTimeout(resolve, 500));
      commit();
      await insert;
      assert.equal((await deleted).status, 204);
      assert.deepEqual([(await ask('nora', 'GET', '/key')).status, await names('nora'), await inUse('nora')], [404, [], 0]);
      assert.equal((await ask('nora', 'DELETE', '/key')).status, 404);
      assert.equal((await create('nora', 'key')).status, 201);
    });

    it('are hidden by a key pair of their name in the API database, counted once, and deleted with it', async () => {
      await house.plant(0, 'gerd', 'key');
      await house.plant(1, 'gerd', 'key', { public_key: 'ssh-rsa of the second cell' });
      assert.equal((await shown('gerd', 'key'))['public_key'], ED25519, 'of two cells, the one that is named first');
      await house.api.apiDb.keyPairs.create({ userId: 'gerd', name: 'key', type: 'ssh', publicKey: OTHER, fingerprint: 'cc:dd', createdAt: new Date() });
      const listed = ((await ask('gerd', 'GET')).json as Listed).keypairs;
      assert.deepEqual([listed.length, listed[0]?.keypair['public_key'], (await shown('gerd', 'key'))['public_key']], [1, OTHER, OTHER]);
      assert.equal(await inUse('gerd'), 1);
      assert.equal((await ask('gerd', 'DELETE', '/key')).status, 204);
      assert.deepEqual([(await ask('gerd', 'GET', '/key')).status, await names('gerd'), await inUse('gerd')], [404, [], 0], 'where Nova shows the other again');
    });

    it('are listed among the others in byte order of the names, in pages whose marker may be anywhere', async () => {
      for (const [index, name] of ['B', 'a', 'ａ', '🔑', 'c', 'ä'].entries()) {
        if (index % 3 === 2) await house.api.apiDb.keyPairs.create({ userId: 'hans', name, type: 'ssh', publicKey: ED25519, fingerprint: 'x', createdAt: new Date() });
        else await house.plant((index % 3) as 0 | 1, 'hans', name);
      }
      const expected = ['B', 'a', 'c', 'ä', 'ａ', '🔑'];
      assert.deepEqual(await names('hans'), expected);
      const paged: unknown[] = [];
      for (let path = '?limit=2'; path !== ''; ) {
        const page = (await ask('hans', 'GET', path)).json as Listed;
        paged.push(...page.keypairs.map(({ keypair }) => keypair['name']));
        const { search } = new URL(page.keypairs_links?.[0]?.href ?? house.api.url);
        path = search;
      }
      assert.deepEqual(paged, expected);
      assert.deepEqual(await names('hans', '?limit=0'), []);
      assert.equal((await ask('hans', 'GET', '?marker=b')).status, 400);
    });

    it('count for the quota, which holds when many import at one time while rows move', async () => {
      for (const name of ['1', '2', '3']) await house.plant(1, 'ida', name);
      for (const name of ['4', '1']) await house.plant(0, 'ida', name);
      let isOver = false;
      const moves = (async () => {
        while (!isOver) for (const cell of [0, 1] as const) await house.moveOne(cell, Math.random() < 0.5 ? 'dies' : 'whole');
      })();
      const statuses = (await Promise.all(Array.from({ length: 12 }, (_, index) => create('ida', `new ${index}`)))).map(({ status }) => status);
      isOver = true;
      await moves;
      assert.deepEqual(statuses.toSorted(), [201, 201, ...Array<number>(10).fill(403)]);
      assert.equal(await inUse('ida'), 6);
      assert.equal((await create('ida', '1')).status, 403, 'a full quota is told before a name that is taken');
      assert.match((await create('ida', 'bad', 'no key')).text, /Quota exceeded/);
      await ask('ida', 'DELETE', '/1');
      assert.match((await create('ida', '2')).text, /already exists/);
      assert.equal((await create('ida', '1')).status, 201);
    });

    it('are given to servers, as long as they have a public key', async () => {
      await house.plant(1, 'jan', 'key');
      await house.plant(1, 'jan', 'empty', { public_key: null });
      const rpc = await serveAgent(house.api, 'host-a');
      const server = (keyName: string) => ask('jan', 'POST', '/v2.1/servers', { server: { name: 's', imageRef: '', flavorRef: '1', networks: 'none', key_name: keyName } });
      for (const missing of ['empty', 'never']) assert.match((await server(missing)).text, /Invalid key_name provided\./);
      const made = await server('key');
      assert.equal(made.status, 202, made.text);
      const stored = await house.api.cellDb.instanceExtra.findKeyPairs((made.json as { server: { id: string } }).server.id);
      assert.deepEqual(stored?.objects.map(({ name, publicKey }) => [name, publicKey]), [['key', ED25519]]);
      await rpc.drain();
    });
  });

  describe('when none are left', () => {
    it('are looked for no more, but now and then: then a row that was mended by hand counts again', async () => {
      await house.query(0, 'DELETE FROM key_pairs WHERE user_id IS NOT NULL');
      await house.query(1, 'DELETE FROM key_pairs WHERE user_id IS NOT NULL');
      house.pass(CELL_LOOK_EVERY_MS);
      assert.equal((await ask('karl', 'GET', '/key')).status, 404);
      await house.plant(1, 'karl', 'key');
      assert.deepEqual([(await ask('karl', 'GET', '/key')).status, await names('karl')], [404, []]);
      house.pass(CELL_LOOK_EVERY_MS);
      assert.deepEqual([await names('karl'), (await ask('karl', 'GET', '/key')).status], [['key'], 200]);
      await house.query(1, 'DELETE FROM key_pairs WHERE user_id IS NOT NULL');
    });

    it('were none when a cell was last seen: that it is away then holds nobody up', async () => {
      house.pass(CELL_LOOK_EVERY_MS);
      assert.equal((await ask('lea', 'GET')).status, 200);
      const bringBack = await house.hide(1);
      try {
        house.pass(CELL_LOOK_EVERY_MS);
        assert.equal((await create('lea', 'key')).status, 201);
        assert.deepEqual([await names('lea'), (await ask('lea', 'GET', '/other')).status], [['key'], 404]);
      } finally {
        await bringBack();
      }
    });
  });
});
