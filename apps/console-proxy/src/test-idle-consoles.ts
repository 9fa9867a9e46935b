/** The proxy of idle-consoles.e2e.test.ts, in a process of its own so that what it costs is its own. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { startConsoleProxy } from './app.module.ts';
import { consoleProxyConfig } from './config.ts';
import { TestConsoleAuth } from './test-console-auth.ts';

const transport = createMemoryTransport();
const auth = new TestConsoleAuth();
await auth.serve(transport);
auth.consoles.set('idle', { instanceName: 'idle', consoleType: 'serial', port: Number(process.argv[2]) });
const parsed = consoleProxyConfig.parse({ proxyPort: '0', proxyName: 'idle', proxyDrain: '0' });
// All come from one address here.
const config = Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, /PerAddress/.test(name) ? 100_000 : value])) as typeof parsed;
const app = await startConsoleProxy({ config, transport, audit: noAudit, log: silentLogger, metrics: createMetrics('idle'), clock: systemClock });

const LOOKS_MAX = 20;
/** So often nothing more must be given back. */
const LOOKS_ALIKE = 3;

const memoryKb = (): number => Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))?.[1]);

/** What the opening left behind is no console's: it is given back some time after it was collected, and later on a machine that does much else. */
async function collect(): Promise<void> {
  let least = Number.POSITIVE_INFINITY;
  for (let looks = 0, alike = 0; looks < LOOKS_MAX && alike < LOOKS_ALIKE; looks++) {
    globalThis.gc?.();
    await pause(500);
    const held = memoryKb();
    alike = held < 0.995 * least ? 0 : alike + 1;
    least = Math.min(least, held);
  }
}

async function tell(wanted: unknown): Promise<void> {
  if (wanted === 'memory') await collect();
  const { user, system } = process.cpuUsage();
  process.send?.({ sessions: auth.open.size, cpuMs: (user + system) / 1_000, memoryKb: memoryKb() });
}

process.on('message', (wanted) => void (wanted === 'drain' ? app.drain() : tell(wanted)));
process.on('disconnect', () => process.exit(0));
process.send?.(Number(new URL(app.addresses[0]!.url).port));
