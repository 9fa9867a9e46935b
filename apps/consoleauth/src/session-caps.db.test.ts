import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { ServiceError } from '@gatehouse/errors/service-error';
import { ports, refused, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';

describe('caps of open consoles', function () {
  this.timeout(60_000);
  let bench: ConsoleAuths;
  before(async () => (bench = await startConsoleAuths({ consoleSessionsPerUser: '4', consoleSessionsPerInstance: '3', consoleSessionsPerProxy: '5' })));
  after(() => bench?.stop());
  beforeEach(() => bench.report());

  /** Many links at once, at two consoleauths. @returns how many opened, and why the others did not */
  async function openAll(tokens: readonly string[], proxyOf: (n: number) => string): Promise<{ readonly opened: number; readonly caps: readonly unknown[] }> {
    const came = await Promise.allSettled(tokens.map((token, n) => bench.connect({ token, proxy: proxyOf(n), of: n })));
    const refusals = came.flatMap((each) => (each.status === 'rejected' ? [each.reason as ServiceError] : []));
    assert.deepEqual(new Set(refusals.map(({ code }) => code)), new Set(refusals.length > 0 ? ['RESOURCE_EXHAUSTED'] : []));
    return { opened: came.length - refusals.length, caps: refusals.map(({ details }) => details['cap']) };
  }
  const screen = async (userId: string | null, uuid?: string): Promise<string> =>
    (await bench.mint(ports(uuid ?? await bench.makeInstance(), 'novnc'), userId)).token;

  it('hold for one machine, whoever comes through whichever proxy at the same moment', async () => {
    const uuid = await bench.makeInstance();
    const tokens = await Promise.all(Array.from({ length: 8 }, () => screen(randomUUID(), uuid)));
    assert.deepEqual(await openAll(tokens, () => randomUUID()), { opened: 3, caps: Array(5).fill('instance') });
    await assert.rejects(bench.connect({ token: tokens[0] ?? '', proxy: randomUUID() }),
      refused('RESOURCE_EXHAUSTED', /^this machine has 3 consoles open, the most that are allowed; close one, or ask an operator for more$/));
  });

  it('hold for one user over all machines, and not for those whom no request named', async () => {
    const userId = randomUUID();
    const tokens = await Promise.all(Array.from({ length: 8 }, () => screen(userId)));
    assert.deepEqual(await openAll(tokens, () => randomUUID()), { opened: 4, caps: Array(4).fill('user') });
    await assert.rejects(bench.connect({ token: tokens[0] ?? '', proxy: randomUUID() }), refused('RESOURCE_EXHAUSTED', /^you have 4 consoles open/));
    const nobodys = await Promise.all(Array.from({ length: 6 }, () => screen(null)));
    assert.equal((await openAll(nobodys, () => randomUUID())).opened, 6);
  });

  it('hold for one proxy, also for sessions that are carried on by it', async () => {
    const proxy = randomUUID();
    const tokens = await Promise.all(Array.from({ length: 8 }, () => screen(randomUUID())));
    assert.deepEqual(await openAll(tokens, () => proxy), { opened: 5, caps: Array(3).fill('proxy') });
    const { resumeGrant, session } = await bench.connect({ token: await screen(randomUUID()), proxy: 'proxy-2' });
    await assert.rejects(bench.connect({ resumeGrant, proxy }), refused('RESOURCE_EXHAUSTED', /^this console proxy has 5 consoles open/));
    assert.equal((await bench.connect({ resumeGrant, proxy: 'proxy-2' })).session.id, session.id);
  });

  it('count neither what was closed nor what nobody renews', async () => {
    const uuid = await bench.makeInstance();
    const tokens = await Promise.all(Array.from({ length: 3 }, () => screen(randomUUID(), uuid)));
    const grants = await Promise.all(tokens.map((token) => bench.connect({ token, proxy: 'proxy-2' })));
    await bench.release('proxy-2', grants[0]?.session.id ?? '');
    await bench.connect({ token: tokens[0] ?? '', proxy: randomUUID() });
    for (let second = 0; second < 15; second += 1) await bench.clock.advance(1_000);
    await bench.report();
    assert.equal((await openAll(tokens, () => randomUUID())).opened, 3);
  });
});
