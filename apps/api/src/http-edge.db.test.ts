import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { isServiceError } from '@gatehouse/errors/service-error';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { runFor } from '../../../test/servers/running-time.ts';
import { startApi } from './app.module.ts';
import { apiConfig } from './config.ts';
import { startTestApi } from './test-api.ts';
import type { TestApi } from './test-api.ts';

const ED25519 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw bob@host';

describe('the HTTP edge of the API', function () {
  this.timeout(60_000);
  let api: TestApi;
  before(async () => {
    api = await startTestApi(await startPostgresql(), { apiHosts: ['api.example.org'], keyPairsMax: 20 });
  });
  after(() => api?.stop());

  describe('refuses', () => {
    const KEYPAIRS = '/v2.1/os-keypairs';

    for (const token of [null, ':', 'a:b:c', 'ü', 'x'.repeat(300)]) {
      it(`a request with the token ${String(token?.slice(0, 20))}, with 401 and what to send`, async () => {
        const answer = await api.ask('GET', KEYPAIRS, token === null ? { token } : { token, headers: {} }).catch(() => null);
        if (answer === null) return assert.equal(token, 'ü'); // Node itself sends no such header
        assert.equal(answer.status, 401);
        const { unauthorized } = answer.json as { unauthorized: { code: number; message: string } };
        assert.equal(unauthorized.code, 401);
        assert.match(unauthorized.message, /user:project/);
        assert.ok(token === null || token.length < 4 || !answer.text.includes(token));
        assert.ok(answer.headers['www-authenticate']);
      });
    }

    it('two tokens', async () => {
      const answer = await raw(api, 'GET /v2.1/os-keypairs HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: a:b\r\nX-Auth-Token: c:d\r\nConnection: close\r\n\r\n');
      assert.match(answer, /^HTTP\/1\.1 401 /);
    });

    for (const host of ['evil.example', 'evil.example:8774', '127.0.0.1.evil.example']) {
      it(`the Host ${JSON.stringify(host)}, on every path, before anything else`, async () => {
        for (const path of ['/', '/v2.1', KEYPAIRS, '/nope']) {
          const answer = await api.ask('GET', path, { headers: { host } });
          assert.equal(answer.status, 403, path);
          assert.match(answer.text, /GATEHOUSE_API_HOSTS/);
        }
      });
    }

    it('no Host at all', async () => {
      assert.match(await raw(api, 'GET / HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 403 /);
      assert.match(await raw(api, 'GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 403 /);
    });

    for (const [version, status, says] of [
      ['2.94', 406, /Version 2\.94 is not supported by the API\. Minimum is 2\.1 and maximum is 2\.93\./],
      ['2.0', 406, /Version 2\.0 is not supported/],
      ['1.1', 406, /Version 1\.1/],
      ['3.1', 406, /Version 3\.1/],
      ['abc', 400, /API Version String abc is of invalid format/],
      ['2', 400, /invalid format/],
      ['2.01', 400, /invalid format/],
      ['2.1.1', 400, /invalid format/],
      ['-2.1', 400, /invalid format/],
      ['2.99999999999999999999', 400, /invalid format/],
    ] as const) {
      it(`the microversion ${version} with ${status}`, async () => {
        const answer = await api.ask('GET', KEYPAIRS, { version });
        assert.equal(answer.status, status);
        assert.match(answer.text, says);
      });
    }

    const bodies: readonly (readonly [what: string, body: string | Buffer, status: number])[] = [
      ['that is not JSON', '{not json', 400],
      ['that is empty', '', 400],
      ['that is a list', '[]', 400],
      ['that is a text', '"x"', 400],
      ['that is not UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 400],
      ['with a lone surrogate', '{"keypair":{"name":"\\ud800"}}', 400],
      ['nested a thousand deep', '['.repeat(1_000) + ']'.repeat(1_000), 400],
      ['with a prototype in it', '{"__proto__":{"keypair":{}}}', 400],
      ['of more than 112 KiB', JSON.stringify({ keypair: { name: 'x', public_key: 'y'.repeat(120_000) } }), 413],
    ];
    for (const [what, body, status] of bodies) {
      it(`a body ${what}`, async () => {
        for (const contentType of ['application/json', 'text/plain', 'application/x-www-form-urlencoded']) {
          const answer = await api.ask('POST', KEYPAIRS, { body, headers: { 'content-type': contentType } });
          assert.equal(answer.status, status, answer.text);
          assert.ok(answer.json !== undefined);
        }
      });
    }

    it("another project in the path than the token's", async () => {
      const answer = await api.ask('GET', '/v2.1/abc-123/os-keypairs', { token: 'alice:abc-124' });
      assert.equal(answer.status, 400);
      assert.match(answer.text, /URL's project_id 'abc-123' doesn't match Context's project_id 'abc-124'/);
    });

    it('a query without end', async () => {
      const answer = await api.ask('GET', `${KEYPAIRS}?${'a=1&'.repeat(200)}`);
      assert.equal(answer.status, 400);
    });

    it('what is no HTTP, and lives on', async () => {
      assert.match(await raw(api, 'NONSENSE\r\n\r\n'), /^HTTP\/1\.1 400 /);
      assert.match(await raw(api, `GET / HTTP/1.1\r\nHost: localhost\r\nX-Big: ${'x'.repeat(40_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
      assert.equal((await api.ask('GET', '/')).status, 200);
    });

    it('to start where others can reach it, unless it is told to', async () => {
      const config = { ...apiConfig.parse({}), apiPort: 0, bindAddress: '0.0.0.0' };
      const resources = { config, transport: api.transport, apiDb: api.apiDb, cellDb: api.cellDb };
      await assert.rejects(startApi(resources as never), (error: unknown) => {
        assert.ok(isServiceError(error));
        assert.match(error.message, /0\.0\.0\.0.*GATEHOUSE_INSECURE_NO_AUTH=true/);
        return true;
      });
    });
  });

  it('starts while its databases are away, and says so of what needs them', async () => {
    const nowhere = 'postgresql://nobody@127.0.0.1:1/nothing';
    const away = await startTestApi({ createDatabase: async () => nowhere, stop: async () => {} }, {}, false);
    for (const [method, path] of [['GET', '/v2.1/os-keypairs'], ['GET', '/v2.1/servers/detail']] as const) {
      const answer = await away.ask(method, path);
      assert.equal(answer.status, 503, answer.text);
      assert.ok('serviceUnavailable' in (answer.json as object));
      assert.ok(!answer.text.includes('nobody'));
    }
    assert.equal((await away.ask('GET', '/v2.1')).status, 200);
    await away.stop();
  });

  it('takes a run of slashes for one, and asks for no less where there are more', async () => {
    for (const path of ['//v2.1/os-keypairs', '/v2.1//os-keypairs', '/v2.1///servers//detail', '//v2//os-keypairs']) {
      assert.equal((await api.ask('GET', path)).status, 200, path);
      assert.equal((await api.ask('GET', path, { token: null })).status, 401, path);
    }
    const refused = await api.ask('GET', '//v1//console-sessions', { token: null });
    assert.equal(refused.status, 401);
    assert.match(refused.headers['content-type'] ?? '', /^application\/problem\+json/);
    assert.equal((await api.ask('GET', '//', { token: null })).status, 200);
    assert.equal((await api.ask('GET', '/v2.1//abc-123//os-keypairs', { token: 'alice:abc-124' })).status, 400);
    assert.equal((await api.ask('GET', '//nope', { token: null })).status, 300);
  });

  it('answers the version documents without a token', async () => {
    for (const path of ['/', '/v2', '/v2/', '/v2.1', '/v2.1/', '/v2.1?x=1']) assert.equal((await api.ask('GET', path, { token: null })).status, 200, path);
    const { versions } = (await api.ask('GET', '/', { token: null })).json as { versions: { id: string; links: { href: string }[] }[] };
    assert.deepEqual(versions.map(({ id, links }) => [id, links[0]?.href]), [['v2.0', `${api.url}/v2/`], ['v2.1', `${api.url}/v2.1/`]]);
  });

  it('offers its versions on a path of none of them, also without a token', async () => {
    for (const path of ['/v3', '/v2.1x', '/os-keypairs?limit=1']) {
      const answer = await api.ask('GET', path, { token: null });
      const { choices } = answer.json as { choices: { id: string; links: { href: string }[] }[] };
      assert.deepEqual([answer.status, choices.map(({ id }) => id), choices[1]?.links[0]?.href], [300, ['v2.0', 'v2.1'], `${api.url}/v2.1${path.split('?')[0]}`]);
    }
  });

  it('answers under a listed name, with links of that name', async () => {
    const answer = await api.ask('GET', '/v2.1', { token: null, headers: { host: 'api.example.org:443' } });
    assert.match(answer.text, /http:\/\/api\.example\.org:443\/v2\.1\//);
  });

  it('takes the project in the path', async () => {
    assert.equal((await api.ask('GET', '/v2.1/abc-123/os-keypairs', { token: 'alice:abc-123' })).status, 200);
    assert.equal((await api.ask('GET', '/v2.1/abc-123/servers/detail', { token: 'alice:abc-123' })).status, 200);
  });

  it('says which microversion it answered with, and names the request in the log', async () => {
    for (const [version, said] of [['2.35', '2.35'], ['latest', '2.93']] as const) {
      const { headers } = await api.ask('GET', '/v2.1/os-keypairs', { version });
      assert.equal(headers['openstack-api-version'], `compute ${said}`);
      assert.equal(headers['x-openstack-nova-api-version'], said);
      const requestId = String(headers['x-openstack-request-id']);
      assert.match(requestId, /^req-[0-9a-f-]{36}$/);
      await runFor(100);
      assert.ok(api.logged.some((line) => line.includes(requestId)), `no line names ${requestId}`);
    }
  });

  it('gives a generated private key once, and keeps it in no log', async () => {
    const answer = await api.ask('POST', '/v2.1/os-keypairs', { version: '2.10', body: { keypair: { name: 'made' } } });
    assert.equal(answer.status, 201);
    const { keypair } = answer.json as { keypair: { private_key: string; public_key: string } };
    assert.match(keypair.private_key, /^-----BEGIN RSA PRIVATE KEY-----/);
    assert.match(keypair.public_key, /^ssh-rsa AAAAB3NzaC1yc2E/);
    assert.ok(!(await api.ask('GET', '/v2.1/os-keypairs/made')).text.includes('PRIVATE'));
    assert.ok(!api.logged.join('').includes('PRIVATE KEY'));
  });

  it('holds the quota of key pairs under parallel imports, where Nova ends above it', async () => {
    const imports = Array.from({ length: 40 }, (_, index) =>
      api.ask('POST', '/v2.1/os-keypairs', { token: 'carol:p', body: { keypair: { name: `k${index}`, public_key: ED25519 } } }));
    const statuses = (await Promise.all(imports)).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 200).length, 20);
    assert.equal(statuses.filter((status) => status === 403).length, 20);
    assert.equal(await api.apiDb.keyPairs.count('carol'), 20);
  });
});

/** Sends bytes and reads the answer until the connection ends. */
function raw(api: TestApi, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname, () => socket.end(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
    socket.on('close', () => resolve(answer));
    // Who hangs up before it has read everything does it with a reset, which may come right behind the answer.
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)));
  });
}
