/**
 * Replays the tests of Nova's consoleauth service (nova/tests/unit/consoleauth/test_consoleauth.py and test_rpcapi.py,
 * to Stein), asked as Nova's services asked it: by Nova's own RPC client and context, over RabbitMQ.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createAmqpTransport } from '@gatehouse/rpc/amqp-transport';
import { startPythonLines } from '../servers/python-lines.ts';
import type { PythonLines } from '../servers/python-lines.ts';
import { startRabbitmq } from '../servers/rabbitmq.ts';
import type { Rabbitmq } from '../servers/rabbitmq.ts';
import { refused, startConsoleAuthAlone } from './consoleauth-alone.ts';
import type { ConsoleAuthAlone } from './consoleauth-alone.ts';

const NOVA = fileURLToPath(new URL('../house/fixtures/nova_consoleauth.py', import.meta.url));
const TTL_MS = 600_000;

interface Outcome {
  readonly returned?: unknown;
  readonly raised?: string;
  readonly class?: string | null;
  readonly words?: string;
}

describe("Nova's tests of consoleauth", function () {
  this.timeout(60_000);
  let rabbitmq: Rabbitmq;
  let house: ConsoleAuthAlone;
  let nova: PythonLines;
  let port = 8_080;

  before(async () => {
    rabbitmq = await startRabbitmq();
    const url = new URL(rabbitmq.url);
    nova = startPythonLines(NOVA, [`rabbit://${url.username}:${url.password}@${url.host}${url.pathname}`]);
    // Nova's services find a topic in this exchange.
    const transport = createAmqpTransport({ url: rabbitmq.url, exchange: 'nova', connectionName: 'consoleauth of the tests' });
    house = await startConsoleAuthAlone({}, { transport });
  });

  after(async () => {
    await nova?.stop();
    await house?.stop();
    await rabbitmq?.stop();
  });

  // No two tests share an address.
  beforeEach(() => void (port += 1));

  const send = async (request: readonly unknown[]): Promise<Outcome> => (await nova.ask(request)) as Outcome;
  const call = (method: string, args: object, cap: string | null = null) => send(['2.1', cap, 'call', method, args]);
  const check = async (token: string): Promise<unknown> => (await call('check_token', { token })).returned;
  const forget = (uuid: string) => send(['2.1', null, 'cast', 'delete_tokens_for_instance', { instance_uuid: uuid }]);

  /** As nova-api asked after the compute had told it where the console is. */
  async function authorize(token: string, instanceUuid: string): Promise<void> {
    const args = { token, console_type: 'novnc', host: '127.0.0.1', port: String(port), internal_access_path: 'host', instance_uuid: instanceUuid };
    assert.deepEqual(await call('authorize_console', args), { returned: null });
  }

  /** A cast is over when it is seen to be. */
  async function assertForgotten(token: string): Promise<void> {
    for (const until = Date.now() + 20_000; Date.now() < until; ) if ((await check(token)) === null) return;
    assert.fail('the token is still known');
  }

  it('test_tokens_expire: a token is known until its time is over, then nothing is', async () => {
    const token = randomUUID();
    await authorize(token, randomUUID());
    assert.notEqual(await check(token), null);
    await house.clock.advance(TTL_MS);
    assert.equal(await check(token), null);
  });

  it('test_multiple_tokens_for_instance: ten tokens of one instance are valid at once', async () => {
    const instance = randomUUID();
    const tokens = Array.from({ length: 10 }, () => randomUUID());
    for (const token of tokens) await authorize(token, instance);
    for (const token of tokens) assert.notEqual(await check(token), null);
  });

  it("test_delete_tokens_for_instance: every token of the instance is unknown then, another's is not", async () => {
    const [instance, other, kept] = [randomUUID(), randomUUID(), randomUUID()];
    const tokens = Array.from({ length: 10 }, () => randomUUID());
    for (const token of tokens) await authorize(token, instance);
    port += 1;
    await authorize(kept, other);
    await forget(instance);
    for (const token of tokens) await assertForgotten(token);
    assert.notEqual(await check(kept), null);
  });

  it('test_wrong_token_has_port: a token whose port is not a console of its instance is answered None', async () => {
    const [token, { uuid }] = [randomUUID(), await house.place()];
    await authorize(token, uuid);
    assert.equal(await check(token), null);
    await assert.rejects(house.connect(token), refused('UNAUTHENTICATED', /unknown or has expired/));
  });

  it('test_delete_expired_tokens: tokens that have expired are not kept for ever beside new ones', async () => {
    const [old, fresh, instance] = [randomUUID(), randomUUID(), randomUUID()];
    await authorize(old, instance);
    await house.clock.advance(TTL_MS);
    await authorize(fresh, instance);
    await house.awaitRounds(async () => (await countOf(instance)) === 1);
    assert.notEqual(await check(fresh), null);
  });

  it('test_authorize_console: a call that is answered when the token is stored; the URL is not sent by a caller capped to 2.0', async () => {
    const url = 'http://nova.example:6080/vnc_auto.html?token=';
    const console = { console_type: 'novnc', host: '127.0.0.1', port: 8_080, internal_access_path: null };
    const [kilo, juno] = [randomUUID(), randomUUID()];
    const args = (token: string) => ({ ...console, token, instance_uuid: randomUUID() });
    assert.deepEqual(await call('authorize_console', { ...args(kilo), access_url: url + kilo }), { returned: null });
    assert.equal(((await check(kilo)) as { access_url: string }).access_url, url + kilo);
    assert.deepEqual(await call('authorize_console', args(juno), '2.0'), { returned: null });
    assert.equal(((await check(juno)) as { access_url: unknown }).access_url, null);
  });

  it('test_check_token: a call; its answer is what a proxy of Nova needs, with the port as a number', async () => {
    const [token, instance] = [randomUUID(), randomUUID()];
    await authorize(token, instance);
    const { last_activity_at: at, ...info } = (await check(token)) as Record<string, unknown>;
    assert.deepEqual(info, {
      ...{ token, instance_uuid: instance, console_type: 'novnc', host: '127.0.0.1', port, internal_access_path: 'host', access_url: null },
    });
    assert.equal(at, house.clock.now().getTime() / 1_000);
  });

  it('test_delete_tokens_for_instance (rpcapi): a cast, which nobody waits for', async () => {
    const [token, instance] = [randomUUID(), randomUUID()];
    await authorize(token, instance);
    assert.deepEqual(await forget(instance), { returned: null });
    await assertForgotten(token);
  });

  async function countOf(instance: string): Promise<number> {
    return (await house.dump()).split('\n').filter((line) => line.includes('console_tokens') && line.includes(instance)).length;
  }
});
