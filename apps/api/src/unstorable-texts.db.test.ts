/** Texts that no column holds, at every place of a request that comes to be looked for or stored: refused, or unknown, by name. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { serveAgent, startTestApi } from './test-api.ts';
import type { TestApi } from './test-api.ts';
import { createServer, importKeys, keyOf } from './test-instances.ts';

const ADMIN = 'admin:abc-1';
/** A path or query that ends in a text without its end: `@` is where it stands. */
type Place = readonly [method: string, path: string, status: number, words: RegExp];

const NO_KEY_PAIR = /Keypair .* not found for user/;
const NO_INSTANCE = /could not be found/;
const EMPTY = /"keypairs":\[\]/;
const UNSTORABLE = /holds a NUL character or half of a surrogate pair, which cannot be stored/;

/** Under each of the prefixes. */
const KEY_PAIR_PLACES: readonly Place[] = [
  ['GET', 'os-keypairs/@', 404, NO_KEY_PAIR], ['DELETE', 'os-keypairs/@', 404, NO_KEY_PAIR],
  ['GET', 'os-keypairs?user_id=@', 200, EMPTY], ['GET', 'os-keypairs?marker=@', 400, /Marker .* could not be found/],
  ['GET', 'os-keypairs?limit=@', 400, /Invalid input for query parameters limit/],
  ['GET', 'os-keypairs/desk?user_id=@', 404, NO_KEY_PAIR], ['DELETE', 'os-keypairs/desk?user_id=@', 404, NO_KEY_PAIR],
  ['GET', 'os-quota-sets/abc-1/detail?user_id=@', 200, /"in_use":0/],
  ['GET', 'servers/@', 404, NO_INSTANCE], ['DELETE', 'servers/@', 404, NO_INSTANCE], ['GET', 'servers/@/os-server-password', 404, NO_INSTANCE],
  ['GET', 'servers?marker=@', 400, /marker \[.*\] not found/], ['GET', 'servers/detail?marker=@', 400, /marker \[.*\] not found/], ['GET', 'servers?limit=@', 400, /A number is expected/],
];
const V1_PLACES: readonly Place[] = [
  ['GET', 'keypairs/@', 404, NO_KEY_PAIR], ['GET', 'keypairs?user_id=@', 200, EMPTY], ['GET', 'keypairs?marker=@', 400, /Marker .* could not be found/], ['GET', 'keypairs/desk?user_id=@', 404, NO_KEY_PAIR],
  ['GET', 'instances/@/keypairs', 404, NO_INSTANCE], ['GET', 'instances/@/network', 404, NO_INSTANCE], ['GET', 'instances/@/metadata-options', 404, NO_INSTANCE],
  ...['user_id', 'project_id', 'host', 'proxy'].map((name): Place => ['GET', `console-sessions?${name}=@`, 400, new RegExp(`${name}: ${UNSTORABLE.source}`)]),
  ['GET', 'console-sessions/events?after=@', 400, UNSTORABLE], ['GET', 'console-sessions/@', 404, /NOT_FOUND/],
];
const PLACES: readonly Place[] = [
  ...['/v2.1', '/v2.1/abc-1'].flatMap((prefix) => KEY_PAIR_PLACES.map(([method, path, ...rest]): Place => [method, `${prefix}/${path}`, ...rest])),
  ['GET', '/v2/os-keypairs/@', 404, NO_KEY_PAIR], ['DELETE', '/v2/abc-1/os-keypairs/@', 404, NO_KEY_PAIR],
  ...V1_PLACES.map(([method, path, ...rest]): Place => [method, `/v1/${path}`, ...rest]),
];

const SERVER = { name: 'x', imageRef: '', flavorRef: '1', networks: 'none' };
/** What a body may be with a bad text in it; the field that the answer names. */
const BODIES: readonly (readonly [path: string, field: string, bodyOf: (bad: string) => object])[] = [
  ['/v2.1/os-keypairs', 'user_id', (bad) => ({ keypair: { name: 'x', user_id: bad } })],
  ['/v2.1/os-keypairs', 'public_key', (bad) => ({ keypair: { name: 'x', public_key: bad } })],
  ['/v2.1/servers', 'flavorRef', (bad) => ({ server: { ...SERVER, flavorRef: bad } })],
  ['/v2.1/servers', 'imageRef', (bad) => ({ server: { ...SERVER, imageRef: bad } })],
  ['/v2.1/servers', 'key_name', (bad) => ({ server: { ...SERVER, key_name: bad } })],
  ['/v2.1/servers', 'key_names', (bad) => ({ server: { ...SERVER, key_names: ['desk', bad] } })],
  ['/v2.1/servers', 'availability_zone', (bad) => ({ server: { ...SERVER, availability_zone: `nova:${bad}` } })],
  ['/v2.1/servers', 'note', (bad) => ({ server: { ...SERVER, metadata: { note: bad } } })],
  ['/v2.1/servers/ID/action', 'imageRef', (bad) => ({ rebuild: { imageRef: bad } })],
  ['/v2.1/servers/ID/action', 'key_name', (bad) => ({ rebuild: { imageRef: 'i', key_name: bad } })],
  ['/v2.1/servers/ID/action', 'note', (bad) => ({ rebuild: { imageRef: 'i', metadata: { note: bad } } })],
  ['/v2.1/servers/ID/action', 'flavorRef', (bad) => ({ resize: { flavorRef: bad } })],
];

describe('texts that cannot be stored', function () {
  this.timeout(60_000);
  let api: TestApi;
  let agent: RpcServer;
  let id: string;

  before(async () => {
    api = await startTestApi(await startPostgresql());
    agent = await serveAgent(api, 'host-a');
    await importKeys(api, ADMIN, { desk: keyOf('ed25519') });
    id = await createServer(api, {}, ADMIN);
  });
  after(async () => {
    await agent?.drain();
    await api?.stop();
  });
  afterEach('nothing was changed, and nothing failed', async () => {
    assert.deepEqual((await api.apiDb.keyPairs.list('admin', { limit: 10 })).map(({ name }) => name), ['desk']);
    assert.equal(await api.cellDb.instances.count(), 1);
    assert.deepEqual(api.logged.filter((line) => line.includes('"level":"error"')), []);
  });

  /** Sends the request as it stands, for no client would. */
  const send = (method: string, path: string): Promise<{ readonly status: number; readonly text: string }> => new Promise((resolve, reject) => {
    const { hostname, port } = new URL(api.url);
    const version = path.startsWith('/v1') ? [] : ['OpenStack-API-Version: compute 2.79'];
    const head = [`${method} ${path} HTTP/1.1`, 'Host: localhost', `X-Auth-Token: ${ADMIN}`, ...version, 'Connection: close', '', ''].join('\r\n');
    let heard = '';
    const socket = connect(Number(port), hostname, () => socket.write(head));
    socket.on('data', (chunk) => (heard += chunk.toString('utf8')));
    socket.on('error', reject);
    socket.on('close', () => resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(heard)?.[1]), text: heard.slice(heard.indexOf('\r\n\r\n') + 4) }));
  });

  for (const [method, path, status, words] of PLACES) {
    it(`are what nobody has in ${method} ${path}: ${status}`, async () => {
      for (const bad of ['%00', 'desk%00', '%00desk', 'a%00b']) {
        const answer = await send(method, path.replace('@', bad));
        assert.equal(answer.status, status, answer.text);
        assert.match(answer.text, words);
      }
    });
  }

  it('are bytes that are no UTF-8: refused in a path, and never more than a name that is unknown in a query', async () => {
    for (const [method, path] of PLACES) {
      // Half of a surrogate pair, a slash and a NUL said in two bytes, a byte that begins nothing, a character without its end.
      for (const bad of ['%ED%A0%80', '%C0%AF', '%C0%80', '%FF', 'a%E2%82']) {
        const answer = await send(method, path.replace('@', bad));
        if (path.includes('?')) assert.ok([200, 400, 404, 503].includes(answer.status), `${method} ${path}: ${answer.text}`);
        else assert.deepEqual([answer.status, /is not a valid url component/.test(answer.text)], [400, true], `${method} ${path}: ${answer.text}`);
        assert.doesNotMatch(answer.text, /column/);
      }
    }
  });

  it('are names without end: told to be too long before anybody looks for them', async () => {
    for (const [method, path] of PLACES) {
      assert.equal((await send(method, path.replace('@', 'x'.repeat(65_536)))).status, 431, path);
      const answer = await send(method, path.replace('@', 'x'.repeat(10_000)));
      if (path.includes('?')) assert.ok([200, 400, 404, 503].includes(answer.status), `${method} ${path}: ${answer.text}`);
      else assert.deepEqual([answer.status, /is exceeding the max param length/.test(answer.text)], [414, true], `${method} ${path}: ${answer.text}`);
    }
  });

  for (const [path, field, bodyOf] of BODIES) {
    it(`are refused as ${field} of a body for ${path}`, async () => {
      for (const bad of ['a\0b', '\0', '\ud800', 'a\udc00']) {
        const answer = await api.ask('POST', path.replace('ID', id), { token: ADMIN, version: '2.54', body: bodyOf(bad) });
        assert.equal(answer.status, 400, answer.text);
        const { badRequest } = answer.json as { readonly badRequest: { readonly message: string } };
        assert.match(badRequest.message, new RegExp(`^Invalid input for field/attribute ${field}\\. Value: .* ${UNSTORABLE.source}$`, 's'));
      }
    });
  }

  it('are refused in the bodies of /v1, by their place', async () => {
    for (const bad of ['a\0b', '\ud800']) {
      const keys = await api.ask('PUT', `/v1/instances/${id}/keypairs`, { token: ADMIN, body: { keypairs: [bad] } });
      assert.deepEqual([keys.status, /has no key pair of the name/.test(keys.text)], [400, true], keys.text);
      const network = { network_data: { links: [{ id: bad }], networks: [], services: [] }, fixed_addresses: [], floating_addresses: [] };
      const answer = await api.ask('PUT', `/v1/instances/${id}/network`, { token: ADMIN, body: network });
      assert.deepEqual([answer.status, /"detail":"network_data/.test(answer.text)], [400, true], answer.text);
    }
  });

  it('are a user id that is longer than its column', async () => {
    const answer = await api.ask('POST', '/v2.1/os-keypairs', { token: ADMIN, version: '2.10', body: { keypair: { name: 'x', user_id: 'u'.repeat(256) } } });
    assert.deepEqual([answer.status, /field\/attribute user_id\. .* is too long/.test(answer.text)], [400, true], answer.text);
  });
});
