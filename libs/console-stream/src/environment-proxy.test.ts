/** Agents are reached directly, whatever proxy of HTTP the environment names: a byte connection goes through none, so its call must not. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { text } from 'node:stream/consumers';

const own = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);

/** Says how many of the two ways brought the echo. */
const CONSOLES = `
  import { PassThrough } from 'node:stream';
  import { once } from 'node:events';
  import { attachConsole } from ${own('./attach-console.ts')};
  import { serveConsoleStream } from ${own('./serve-console-stream.ts')};
  const log = { warn() {}, debug() {} };
  const server = await serveConsoleStream({ listen: '127.0.0.1:0', log, attach: async () => ({ stream: new PassThrough(), offset: 0 }) });
  let heard = '';
  for (const byteConnection of [true, false]) {
    const console = await attachConsole({ endpoint: server.endpoint, sessionId: 's', attachSecret: 's', byteConnection });
    console.write('x');
    heard += (await once(console, 'data'))[0];
    console.destroy();
  }
  process.stdout.write(heard, () => process.exit());`;

/** What gRPC does of itself. */
const BARE = `
  import { Client, credentials } from '@grpc/grpc-js';
  const client = new Client('127.0.0.1:9', credentials.createInsecure());
  client.waitForReady(Date.now() + 5_000, () => process.exit());`;

describe('a proxy of HTTP in the environment', () => {
  let trap: Server;
  let trapped = 0;
  before(async () => {
    trap = createServer((socket) => {
      trapped += 1;
      socket.on('error', () => {}).destroy();
    }).listen(0, '127.0.0.1');
    await once(trap, 'listening');
  });
  after(() => trap.close());
  beforeEach(() => (trapped = 0));

  async function run(program: string, more: Record<string, string> = {}): Promise<string> {
    const url = `http://127.0.0.1:${(trap.address() as AddressInfo).port}`;
    const names = ['http_proxy', 'https_proxy', 'grpc_proxy', 'all_proxy'].flatMap((name) => [name, name.toUpperCase()]);
    const env = { ...Object.fromEntries(names.map((name) => [name, url])), no_proxy: '', NODE_USE_ENV_PROXY: '1', ...more };
    const args = ['--import', 'tsx', '--input-type=module', '-e', program];
    return text(spawn(process.execPath, args, { cwd: import.meta.dirname, env, stdio: ['ignore', 'pipe', 'inherit'] }).stdout);
  }

  it('would have a call of gRPC led through it', async () => {
    await run(BARE);
    assert.ok(trapped > 0);
  }).timeout(30_000);

  for (const no of ['', '*', '10.0.0.0/8']) {
    it(`leads no console through it, neither its call nor its bytes, with no_proxy "${no}"`, async () => {
      assert.deepEqual([await run(CONSOLES, { no_proxy: no, NO_PROXY: no }), trapped], ['xx', 0]);
    }).timeout(30_000);
  }
});
