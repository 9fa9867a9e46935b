// Console links as their users meet them, whatever keeps the tokens: two consoleauths, one of three keepers.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { consoleauth2 } from '@gatehouse/contracts/historic-consoleauth';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { hashSecret } from './console-token.ts';
import { dialled, PROXIES, ports, refused, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';
import { openCache, startCache } from './test-token-backends.ts';
import type { CacheServer } from './test-token-backends.ts';
import { TOKENS_BACKENDS } from './token-backend.ts';

const unknown = refused('UNAUTHENTICATED', /unknown or has expired; ask for a new one/);
const usedBefore = refused('UNAUTHENTICATED', /was used before and opens its console once only; ask for a new one/);
const notShown = refused('NOT_FOUND', /unknown or has expired/);

for (const name of TOKENS_BACKENDS) {
  describe(`console links whose tokens are in ${name}`, function () {
    this.timeout(180_000);
    let cache: CacheServer | null = null;
    let house: ConsoleAuths;
    /** The same, with links that open once. */
    let once: ConsoleAuths;

    before(async () => {
      cache = name === 'database' ? null : await startCache(name);
      const settings = { consoleTokensBackend: name, ...(cache === null ? {} : { consoleTokensUrl: cache.url }) };
      house = await startConsoleAuths({ ...settings, consoleTokenHash: 'sha1' });
      once = await startConsoleAuths({ ...settings, consoleTokenSingleUse: 'true' });
    });

    after(async () => {
      await house?.stop();
      await once?.stop();
      await cache?.stop();
    });

    const show = (of: ConsoleAuths, token: string) => of.client.showToken({ token }, newContext());

    it('open until they expire, and not at that very second', async () => {
      const { token } = await house.mint(ports(await house.makeInstance(), 'novnc'));
      // The clock stands at a whole second.
      await house.clock.advance(599_999);
      await house.report();
      await house.connect({ token, of: 1 });
      await house.connect({ token });
      assert.equal((await show(house, token)).consoleType, 'novnc');
      await house.clock.advance(1);
      await assert.rejects(house.connect({ token }), unknown);
      await assert.rejects(show(house, token), notShown);
    });

    it('are refused for another token than theirs, however like it', async () => {
      const { token } = await house.mint(ports(await house.makeInstance(), 'novnc'));
      for (const wrong of ['', ' ', token.slice(1), `${token}=`, token.toUpperCase(), `${token} `, hashSecret(token, 'sha1'), `x\r\nget ${token}`, '\u0000'.repeat(512)]) {
        await assert.rejects(house.connect({ token: wrong }), unknown);
        await assert.rejects(show(house, wrong), notShown);
      }
      await house.connect({ token });
    });

    it('open nothing once their instance is revoked, at whichever consoleauth', async () => {
      const uuid = await house.makeInstance();
      const { token } = await house.mint(ports(uuid, 'novnc'));
      await house.connect({ token });
      await house.revoke(uuid, 'instance_stopped', 1);
      await assert.rejects(house.connect({ token }), unknown);
      await assert.rejects(house.connect({ token, of: 1 }), unknown);
      await assert.rejects(show(house, token), notShown);
    });

    it('open nothing once their console is gone from the host', async () => {
      const uuid = await house.makeInstance();
      const { token } = await house.mint(ports(uuid, 'novnc'));
      await house.register(uuid, ports(uuid, 'serial'));
      await assert.rejects(house.connect({ token }), unknown);
    });

    it('show where they lead as often as they are asked, without the token or its hash', async () => {
      const options = { transport: 'tcp', address: '192.0.2.60', internal_access_path: '/a?b=c' };
      const uuid = await house.makeInstance();
      const { token } = await house.mint([dialled(uuid, 5_901, { options })]);
      for (const _ of [1, 2]) {
        const { expires, ...shown } = await show(house, token);
        const { expires: _none, ...connection } = dialled(uuid, 5_901, { options });
        assert.deepEqual(shown, connection);
        assert.deepEqual(expires, new Date(house.clock.now().getTime() + 600_000));
      }
      await house.connect({ token });
    });

    it("show where Nova's own tokens lead, and do not when they must not open it", async () => {
      const nova = createClient(consoleauth2, house.transport);
      const instanceUuid = randomUUID();
      const token = randomUUID();
      const there = { token, consoleType: 'webmks', host: '192.0.2.61', port: 902, internalAccessPath: '{"ticket":"t"}', instanceUuid } as const;
      await nova.authorizeConsole(there, newContext());
      const { host, port, options } = await show(house, token);
      assert.deepEqual([host, port, options['internal_access_path']], ['192.0.2.61', 902, '{"ticket":"t"}']);
      await nova.authorizeConsole({ ...there, instanceUuid: await house.makeInstance() }, newContext());
      await assert.rejects(show(house, token), notShown);
    });

    describe('and which open once', () => {
      it('open for one of twenty clients who race at two consoleauths', async () => {
        const { token } = await once.mint(ports(await once.makeInstance(), 'novnc'));
        const all = await Promise.allSettled(Array.from({ length: 20 }, (_, of) => once.connect({ token, of, proxy: PROXIES[of % 2] })));
        assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1);
        await assert.rejects(once.connect({ token }), usedBefore);
        await assert.rejects(show(once, token), notShown);
      });

      it('let the client that was cut off go on by its grant, and nobody else', async () => {
        const { token } = await once.mint(ports(await once.makeInstance(), 'serial'));
        const { session, resumeGrant } = await once.connect({ token });
        await assert.rejects(once.connect({ token, resumeGrant: 'not-the-grant' }), usedBefore);
        const again = await once.connect({ token, resumeGrant, of: 1 });
        assert.equal(again.session.id, session.id);
        await assert.rejects(once.connect({ token }), usedBefore);
      });

      it('stay good for who was refused or only looked', async () => {
        const { token } = await once.mint(ports(await once.makeInstance(), 'novnc'));
        await assert.rejects(once.connect({ token, consoleTypes: ['serial'] }), refused('INVALID_ARGUMENT', /which this page cannot show/));
        assert.equal((await show(once, token)).consoleType, 'novnc');
        await once.connect({ token });
      });
    });

    // Last, and so in a suite of its own: afterwards it is gone.
    if (name !== 'database') {
      describe('and which are lost', () => it('are refused in words when the cache has forgotten them, or is away', async () => {
        const { token } = await house.mint(ports(await house.makeInstance(), 'novnc'));
        const other = openCache(name, cache?.url ?? '');
        assert.equal(await other.delete(`gatehouse:token:${hashSecret(token, 'sha1')}`), true);
        await other.close();
        await assert.rejects(house.connect({ token }), unknown);
        await cache?.halt();
        const away = refused('UNAVAILABLE', /the token cache \(\w+\) .*try again in a moment/);
        await assert.rejects(house.connect({ token }), away);
        await assert.rejects(house.mint(ports(await house.makeInstance(), 'novnc')), away);
      }));
    }
  });
}
