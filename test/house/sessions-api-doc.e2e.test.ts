/** docs/sessions-api.md, run as its reader would: every block of shell in one shell, in order, beside `npm start`. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { ConsoleSocket, RFB_GREETING } from './console-socket.ts';
import { StandaloneProcess } from './standalone-process.ts';

const PAGE = readFileSync(new URL('../../docs/sessions-api.md', import.meta.url), 'utf8');
const BLOCK_MS_MAX = 20_000;

type Json = Readonly<Record<string, unknown>>;

class Shell {
  readonly #bash = spawn('bash', [], { stdio: ['pipe', 'pipe', 'inherit'] });
  #text = '';

  constructor() {
    this.#bash.stdout.setEncoding('utf8').on('data', (text: string) => (this.#text += text));
  }

  /** What the block printed. */
  async run(block: string): Promise<string> {
    const mark = '<<<end of block>>>';
    this.#text = '';
    this.#bash.stdin.write(`${block}\necho '${mark}'\n`);
    for (const until = Date.now() + BLOCK_MS_MAX; !this.#text.includes(mark); await new Promise((resolve) => setTimeout(resolve, 10))) {
      assert.ok(Date.now() < until, `${block}\n${this.#text}`);
    }
    return this.#text.slice(0, this.#text.indexOf(mark));
  }

  stop(): void {
    this.#bash.kill();
  }
}

describe('the page about console sessions', function () {
  this.timeout(180_000);
  let house: StandaloneProcess;
  let shell: Shell;

  before(async () => {
    house = await StandaloneProcess.start();
    shell = new Shell();
  });
  after(async () => {
    shell?.stop();
    await house?.stop();
  });

  it('tells commands that do what it says', async () => {
    const blocks = [...PAGE.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block);
    const [setting = '', open = '', list = '', show = '', end = '', endAll = '', watch = '', poll = '', refused = '', document = '', ...more] = blocks;
    assert.deepEqual(more, []);
    const json = async (block: string): Promise<Json> => JSON.parse(await shell.run(block)) as Json;
    const sessionsIn = ({ console_sessions: sessions }: Json) => sessions as { id: string; state: string; end_reason: string | null }[];

    await shell.run(setting.replace('http://127.0.0.1:8774', house.apiUrl));
    const { url } = (await json(open))['remote_console'] as { url: string };
    const sockets = [await ConsoleSocket.open(url), await ConsoleSocket.open(url)];
    for (const socket of sockets) await socket.awaitText(RFB_GREETING);

    assert.deepEqual(sessionsIn(await json(list)).map(({ state }) => state), ['open', 'open']);
    const shown = (await json(show))['console_session'] as { id: string; state: string; client_address: string };
    assert.deepEqual([shown.state, shown.client_address], ['open', '127.0.0.1']);

    assert.equal(await shell.run(end), '');
    const closed = await Promise.race(sockets.map((socket) => socket.closed));
    assert.equal(closed.code, 4022);
    assert.match(closed.reason, /maintenance/);
    assert.deepEqual(sessionsIn(await json(endAll)).map(({ state, end_reason: why }) => [state, why]), [['ended', 'ended_by_user']]);
    assert.deepEqual((await Promise.all(sockets.map((socket) => socket.closed))).map(({ code }) => code), [4022, 4022]);

    assert.match(await shell.run(watch), /^retry: 1000\n/);
    assert.deepEqual((await json(poll))['events'], []);
    const problem = await json(refused);
    assert.deepEqual([problem['status'], problem['code']], [403, 'PERMISSION_DENIED']);
    assert.equal((await json(document))['openapi'], '3.1.1');
  });
});
