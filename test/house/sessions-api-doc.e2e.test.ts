/** docs/sessions-api.md, run as its reader would: every block of shell in one shell, in order, beside `npm start`. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ConsoleSocket, RFB_GREETING } from './console-socket.ts';
import { Shell, shellBlocks } from './shell.ts';
import { StandaloneProcess } from './standalone-process.ts';

const PAGE = readFileSync(new URL('../../docs/sessions-api.md', import.meta.url), 'utf8');

type Json = Readonly<Record<string, unknown>>;

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
    const [setting = '', open = '', list = '', show = '', end = '', endAll = '', watch = '', poll = '', refused = '', document = '', ...more] = shellBlocks(PAGE);
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

    // Its reader tries again where a busy machine has not answered in two seconds.
    assert.ok(watch.includes('--max-time 2 '), watch);
    assert.match(await shell.run(watch.replace('--max-time 2 ', '--max-time 8 ')), /^retry: 1000\n/);
    assert.deepEqual((await json(poll))['events'], []);
    const problem = await json(refused);
    assert.deepEqual([problem['status'], problem['code']], [403, 'PERMISSION_DENIED']);
    assert.equal((await json(document))['openapi'], '3.1.1');
  });
});
