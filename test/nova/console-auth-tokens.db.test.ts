/**
 * Replays Nova's tests of its token object and its token table:
 * nova/tests/unit/objects/test_console_auth_token.py, nova/tests/functional/db/test_console_auth_token.py and
 * ConsoleAuthTokenTestCase of nova/tests/unit/db/main/test_api.py. What is on purpose otherwise: docs/nova-consoles.md.
 */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import { newContext } from '@gatehouse/rpc/context';
import { refused, START, startConsoleAuthAlone, tokenOf } from './consoleauth-alone.ts';
import type { ConsoleAuthAlone } from './consoleauth-alone.ts';

const UNKNOWN = refused('UNAUTHENTICATED', /unknown or has expired; ask for a new one/);
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

describe("Nova's tests of console tokens", function () {
  this.timeout(60_000);
  let house: ConsoleAuthAlone;

  before(async () => {
    house = await startConsoleAuthAlone({ proxyBaseUrl: 'http://proxy.example:6080' });
  });
  after(() => house?.stop());

  const areGone = async (connections: readonly ConsoleConnection[]): Promise<boolean> =>
    (await Promise.all(connections.map((each) => house.countStored(each)))).every((count) => count === 0);
  const sweep = (host: string): Promise<number> => house.client.sweep({ host }, newContext());
  const revoke = (instanceUuid: string): Promise<number> => house.client.revokeInstance({ instanceUuid, reason: 'instance_deleted' }, newContext());

  describe('objects: ConsoleAuthToken', () => {
    it('test_authorize: answers the token in its URL, keeps the hash alone, and says until when it opens', async () => {
      const instance = await house.place();
      const granted = await house.authorize(instance, { consoleType: 'serial' });
      const token = tokenOf(granted);
      assert.equal(granted.accessUrl, `http://proxy.example:6080/serial#token=${token}`);
      assert.equal(granted.tokenHash, sha256(token));
      // Nova: now + ttl in whole seconds, the fraction cut off.
      assert.equal(granted.expires?.toISOString(), new Date(Math.floor(START.getTime() / 1_000) * 1_000 + 600_000).toISOString());
      assert.equal(await house.countStored(granted), 1);
      assert.ok(!(await house.dump()).includes(token));
    });

    it('test_authorize_novnc: the URL is that of the page that shows screens', async () => {
      const granted = await house.authorize(await house.place(), { consoleType: 'novnc' });
      assert.equal(granted.accessUrl, `http://proxy.example:6080/vnc#token=${tokenOf(granted)}`);
    });

    it("test_authorize (Nova's URLs): where they are asked for, the base that is set and ?token=", async () => {
      await besideIt({ consoleUrlStyle: 'nova', spiceBaseUrl: 'https://spice.example/spice_auto.html' }, async (nova) => {
        assert.match(await urlOf(nova, 'serial'), /^ws:\/\/127\.0\.0\.1:6080\/\?token=[\w-]{43}$/);
        assert.match(await urlOf(nova, 'spice-html5'), /^https:\/\/spice\.example\/spice_auto\.html\?token=[\w-]{43}$/);
        assert.match(await urlOf(nova, 'novnc'), /^http:\/\/127\.0\.0\.1:6080\/vnc_auto\.html\?path=%3Ftoken%3D[\w-]{43}$/);
      });
    });

    it("test_authorize_novnc (Nova's URLs): ?path=%3Ftoken%3D, beside a query and a path that the base has already", async () => {
      const settings = { consoleUrlStyle: 'nova', vncBaseUrl: 'http://nova.example/vnc.html?scale=1&path=novnc', serialBaseUrl: 'wss://serial.example/cell-2/' };
      await besideIt(settings, async (nova) => {
        assert.match(await urlOf(nova, 'novnc'), /^http:\/\/nova\.example\/vnc\.html\?scale=1&path=novnc%3Ftoken%3D[\w-]{43}$/);
        assert.match(await urlOf(nova, 'serial'), /^wss:\/\/serial\.example\/cell-2\/\?token=[\w-]{43}$/);
      });
    });

    it('test_authorize_duplicate_token: no two tokens are the same, however many are asked for at once', async () => {
      const instance = await house.place();
      const many = await Promise.all(Array.from({ length: 20 }, () => house.authorize(instance)));
      assert.equal(new Set(many.map(tokenOf)).size, 20);
      for (const one of many) await house.connect(tokenOf(one));
    });

    it('test_authorize_instance_not_found: an instance that is not there gets no token', async () => {
      const nobody = { uuid: randomUUID(), host: 'compute-1' };
      await assert.rejects(house.authorize(nobody), refused('NOT_FOUND', new RegExp(`Instance ${nobody.uuid} could not be found`)));
    });

    it('test_authorize_object_already_created: a connection that has its token already gets another, and both open', async () => {
      const instance = await house.place();
      const first = await house.authorize(instance);
      const again = await house.client.authorize({ connections: [{ ...first, accessUrl: null }], access: 'full' }, newContext({ userId: 'alice', projectId: 'blue' }));
      assert.notEqual(tokenOf(again), tokenOf(first));
      for (const each of [first, again]) await house.connect(tokenOf(each));
    });

    it("test_clean_console_auths_for_instance: all tokens of one instance go, another's stay", async () => {
      const [one, other] = [await house.place(), await house.place()];
      const [gone, stays] = [await house.authorize(one), await house.authorize(other)];
      await revoke(one.uuid);
      await assert.rejects(house.connect(tokenOf(gone)), UNKNOWN);
      await house.connect(tokenOf(stays));
    });

    it('test_clean_expired_console_auths: consoleauth removes what has expired on every host, by itself', async () => {
      const granted = await Promise.all(['compute-1', 'a-host-that-is-gone'].map(async (host) => house.authorize(await house.place(host))));
      await house.clock.advance(600_000);
      await house.awaitRounds(() => areGone(granted));
    });

    it("test_clean_expired_console_auths_for_host: an agent's sweep removes what has expired on its own host", async () => {
      const granted = await house.authorize(await house.place('compute-2'));
      await house.liveOn('compute-2', 601_000);
      assert.ok((await sweep('compute-2')) >= 1);
      assert.equal(await house.countStored(granted), 0);
    });

    it('test_validate: what was authorized comes back whole to whoever shows the token', async () => {
      const instance = await house.place();
      const granted = await house.authorize(instance, { consoleType: 'serial', ports: [3], options: { transport: 'attach', internal_access_path: 'a-path' } });
      const { connection, session } = await house.connect(tokenOf(granted));
      assert.deepEqual(
        [connection.instanceUuid, connection.host, connection.port, connection.consoleType, connection.options],
        [instance.uuid, instance.host, 3, 'serial', { transport: 'attach', internal_access_path: 'a-path' }],
      );
      assert.deepEqual([session.userId, session.projectId], ['alice', 'blue']);
      assert.deepEqual([connection.accessUrl, connection.tokenHash], [null, null]);
    });

    it('test_validate_invalid: a token that was never issued is refused', async () => {
      await assert.rejects(house.connect(randomUUID()), UNKNOWN);
    });
  });

  describe('db: console_auth_tokens', () => {
    it('test_console_auth_token_create_no_instance: nothing is stored for an instance that is not there', async () => {
      const nobody = { uuid: randomUUID(), host: 'compute-1' };
      await assert.rejects(house.authorize(nobody), refused('NOT_FOUND', /could not be found/));
      assert.deepEqual(await house.cellDb.consoleConnections.listByInstance(nobody.uuid), []);
    });

    it('test_console_auth_token_get_valid_deleted_instance: the token of a deleted instance opens nothing', async () => {
      const instance = await house.place();
      const token = tokenOf(await house.authorize(instance));
      await house.connect(token);
      await house.cellDb.instances.softDelete(instance.uuid, house.clock.now());
      await assert.rejects(house.connect(token), UNKNOWN);
    });

    it("test_console_auth_token_destroy_all_by_instance: both tokens of the one go, the third is the other's", async () => {
      const [one, other] = [await house.place(), await house.place()];
      const [first, second, third] = [await house.authorize(one), await house.authorize(one), await house.authorize(other)];
      for (const each of [first, second, third]) await house.connect(tokenOf(each));
      await revoke(one.uuid);
      for (const each of [first, second]) await assert.rejects(house.connect(tokenOf(each)), UNKNOWN);
      await house.connect(tokenOf(third));
    });

    it('test_console_auth_token_get_valid_by_expiry: a token lives to the second before it expires, not at it', async () => {
      const old = await house.authorize(await house.place());
      const leftMs = (old.expires?.getTime() ?? 0) - house.clock.now().getTime();
      await house.clock.advance(leftMs - 1);
      await house.connect(tokenOf(old));
      await house.clock.advance(1);
      const fresh = await house.authorize(await house.place());
      await assert.rejects(house.connect(tokenOf(old)), UNKNOWN);
      await house.connect(tokenOf(fresh));
    });

    it('test_console_auth_token_get_valid_by_uuid: a token leads to the instance that it was issued for and to no other', async () => {
      const [one, other] = [await house.place(), await house.place()];
      const [token, others] = [tokenOf(await house.authorize(one)), tokenOf(await house.authorize(other))];
      assert.equal((await house.connect(token)).connection.instanceUuid, one.uuid);
      assert.equal((await house.connect(others)).connection.instanceUuid, other.uuid);
    });

    it('test_console_auth_token_destroy_expired: the expired ones of all hosts are removed, the live one stays', async () => {
      const expired = [await house.authorize(await house.place('compute-1')), await house.authorize(await house.place('other-host'))];
      await house.clock.advance(600_000);
      const live = await house.authorize(await house.place('compute-1'));
      await house.awaitRounds(() => areGone(expired));
      await house.connect(tokenOf(live));
    });

    it("test_console_auth_token_destroy_expired_by_host: the one host's go, the other host's are left to it", async () => {
      // A life so short that no round of consoleauth's own falls into it.
      await besideIt({ consoleTokenTtl: '5' }, async (brief) => {
        const [mine, others] = [await brief.authorize(await brief.place('host-a')), await brief.authorize(await brief.place('host-b'))];
        await brief.clock.advance(5_000);
        assert.equal(await brief.client.sweep({ host: 'host-a' }, newContext()), 1);
        assert.deepEqual([await brief.countStored(mine), await brief.countStored(others)], [0, 1]);
        assert.equal(await brief.client.sweep({ host: 'host-b' }, newContext()), 1);
        assert.equal(await brief.countStored(others), 0);
      });
    });

    it('test_console_auth_token_get_valid_without_uuid_deleted_instance: a deleted instance leaves no token behind', async () => {
      const instance = await house.place();
      const granted = await house.authorize(instance);
      assert.equal(await house.countStored(granted), 1);
      await house.cellDb.instances.softDelete(instance.uuid, house.clock.now());
      assert.equal(await house.countStored(granted), 0);
    });

    it('test_console_auth_token_get_valid_without_uuid_by_expiry: whoever only has the token is told the same', async () => {
      const [old, instance] = [await house.authorize(await house.place()), await house.place()];
      await house.clock.advance(600_000);
      const fresh = await house.authorize(instance);
      await assert.rejects(house.connect(tokenOf(old)), UNKNOWN);
      assert.equal((await house.connect(tokenOf(fresh))).connection.instanceUuid, instance.uuid);
      const show = (token: string) => house.client.showToken({ token }, newContext());
      await assert.rejects(show(tokenOf(old)), refused('NOT_FOUND', /token is unknown or has expired/));
      assert.equal((await show(tokenOf(fresh))).instanceUuid, instance.uuid);
    });
  });

  /** Another consoleauth, which is set otherwise. */
  async function besideIt(settings: Readonly<Record<string, string>>, use: (other: ConsoleAuthAlone) => Promise<void>): Promise<void> {
    const other = await startConsoleAuthAlone(settings, { beside: house });
    try {
      await use(other);
    } finally {
      await other.stop();
    }
  }

  async function urlOf(from: ConsoleAuthAlone, consoleType: ConsoleType): Promise<string> {
    return (await from.authorize(await from.place(), { consoleType })).accessUrl ?? '';
  }
});
