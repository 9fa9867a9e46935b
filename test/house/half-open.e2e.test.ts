/**
 * A machine is gone without a word: a laptop that was shut, a host without power, a cable. Its packets go nowhere and no
 * connection is closed. Each case runs in network namespaces of its own, all at once.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Noticed } from './half-open-world.ts';

const WORLD = fileURLToPath(new URL('half-open-world.ts', import.meta.url));
/** As an unprivileged user may: the namespace is his own. */
const UNSHARE = ['--user', '--map-root-user', '--net', '--kill-child'];

/** Who vanishes, when at the latest it is noticed (seconds), and what is said of it. */
const CASES: readonly (readonly [name: string, what: string, withinSeconds: number, endReason: string])[] = [
  ['client', 'a client: its session ends after three pings', 15, 'client_lost'],
  ['host', 'a host that is dialled, while nobody types', 60, 'host_unreachable'],
  ['host-typing', 'a host that is dialled, while its user types', 75, 'host_unreachable'],
  ['agent', 'a compute host with its agent, while nobody types', 40, 'host_unreachable'],
  ['agent-typing', 'a compute host with its agent, while its user types', 40, 'host_unreachable'],
];

describe('a machine that is gone without a word is noticed', function () {
  this.timeout(120_000);
  const worlds = new Map<string, Promise<Noticed>>();

  before(() => {
    for (const [name] of CASES) worlds.set(name, live(name));
    // Each is awaited by its own test, which another's failure must not hide.
    for (const world of worlds.values()) world.catch(() => {});
  });

  for (const [name, what, withinSeconds, endReason] of CASES) {
    it(what, async () => {
      const noticed = await worlds.get(name)!;
      assert.equal(noticed.endReason, endReason);
      assert.ok(noticed.afterSeconds <= withinSeconds, `after ${noticed.afterSeconds} s`);
      assert.equal(noticed.sessionsLeft, 0);
      if (endReason === 'host_unreachable') assert.deepEqual(noticed.close, { code: 4503, reason: 'The connection to the host was lost.' });
    });
  }
});

async function live(name: string): Promise<Noticed> {
  const { stdout } = await promisify(execFile)('unshare', [...UNSHARE, process.execPath, '--no-deprecation', '--import', 'tsx', WORLD, name]);
  return JSON.parse(stdout) as Noticed;
}
