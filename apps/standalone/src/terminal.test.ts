import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import type { ReadStream } from 'node:tty';
import { readyLine, terminalOf } from './terminal.ts';

describe('the terminal', () => {
  const open = (isTTY: boolean) => {
    const stdin = Object.assign(new PassThrough(), { isTTY });
    const stdout = new PassThrough();
    return { stdin, terminal: terminalOf(stdout, stdin as unknown as ReadStream), printed: () => String(stdout.read() ?? '') };
  };
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('does not listen for Enter where stdin is no terminal', () => {
    const { terminal, stdin } = open(false);
    assert.equal(terminal.onEnter(async () => {}), false);
    assert.equal(stdin.listenerCount('data'), 0);
  });

  it('says why Enter failed, and listens on', async () => {
    const { terminal, stdin, printed } = open(true);
    let calls = 0;
    assert.equal(terminal.onEnter(async () => {
      calls += 1;
      throw new Error('the api does not answer');
    }), true);
    for (const key of ['\n', 'x', '\n']) {
      stdin.write(key);
      await turn();
      await turn();
    }
    assert.equal(calls, 2);
    assert.equal(printed(), 'no: the api does not answer\nno: the api does not answer\n');
  });

  it('answers a held Enter key one at a time', async () => {
    const { terminal, stdin } = open(true);
    let calls = 0;
    terminal.onEnter(() => {
      calls += 1;
      return new Promise(() => {});
    });
    for (let press = 0; press < 5; press += 1) {
      stdin.write('\n');
      await turn();
    }
    assert.equal(calls, 1);
  });

  it('says what begins, and gives back what came of it', async () => {
    const { terminal, printed } = open(true);
    assert.equal(await terminal.progress('making the database', async () => 7), 7);
    assert.equal(printed(), 'making the database ...\n');
  });

  it('has a line that begins with ready and names every address', () => {
    assert.equal(readyLine([{ name: 'api', url: 'http://127.0.0.1:1' }, { name: 'ops', url: 'http://127.0.0.1:2' }]),
      'ready  api http://127.0.0.1:1  ops http://127.0.0.1:2');
  });
});
