import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { text } from 'node:stream/consumers';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

describe('the process of a console proxy', function () {
  this.timeout(20_000);

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
      const startedMs = performance.now();
      child.kill('SIGTERM');
      const [code] = (await once(child, 'close')) as [number | null];
      assert.equal(code, 0, await output);
      assert.ok(performance.now() - startedMs < 3_000, 'it took its time');
    } finally {
      child.kill('SIGKILL');
    }
  });
});
