import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { text } from 'node:stream/consumers';
import { runningMsOf } from '../../../test/servers/running-time.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

describe('the process of a console proxy', () => {
  it('stops at once while it waits for its broker', async () => {
    // A port that nobody serves: 1 is never given out.
    const env = {
      PATH: process.env['PATH'], GATEHOUSE_TRANSPORT_URL: 'amqp://127.0.0.1:1', GATEHOUSE_PROXY_PORT: '0', GATEHOUSE_OPS_PORT: '0',
    };
    const child = spawn(process.execPath, ['--import', 'tsx', MAIN], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const output = text(child.stdout);
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      assert.match(line.toString(), /the message broker cannot be reached/);
      const closed = once(child, 'close') as Promise<[number | null]>;
      child.kill('SIGTERM');
      const tookMs = await runningMsOf(() => closed);
      assert.equal((await closed)[0], 0, await output);
      assert.ok(tookMs < 3_000, `${tookMs} ms`);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
