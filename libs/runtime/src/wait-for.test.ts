import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { captureLog } from './fixtures/capture-log.ts';
import { TestClock } from './test-clock.ts';
import { waitFor } from './wait-for.ts';

describe('waiting for what is not there yet', () => {
  it('gives up after its time limit, with the last reason', async () => {
    const clock = new TestClock();
    const waiting = waitFor({
      what: 'the cell database', clock, log: captureLog().logger, timeoutMs: 60_000,
      attempt: () => Promise.reject(new AggregateError([new Error('connect ECONNREFUSED ::1')])),
    });
    const refused = assert.rejects(waiting, { code: 'UNAVAILABLE', message: /^the cell database was not there within 6\d s: connect ECONNREFUSED ::1$/ });
    await clock.advance(70_000);
    await refused;
  });

  it('stops at once when it is called off', async () => {
    const clock = new TestClock();
    const stop = new AbortController();
    const waiting = waitFor({
      what: 'the broker', clock, log: captureLog().logger, signal: stop.signal, attempt: () => Promise.reject(new Error('no')),
    });
    const refused = assert.rejects(waiting, { code: 'CANCELLED' });
    await clock.advance(1_000);
    stop.abort();
    await refused;
  });

  it('throws at once what waiting cannot mend', async () => {
    const wrong = new Error('password authentication failed');
    const waiting = waitFor({
      what: 'x', log: captureLog().logger, attempt: () => Promise.reject(wrong), isFinal: (error) => error === wrong,
    });
    await assert.rejects(waiting, wrong);
  });

  it('tries again with growing pauses, says so now and then, and tells when it is there', async () => {
    const clock = new TestClock();
    const log = captureLog();
    let tries = 0;
    const waiting = waitFor({
      what: 'the broker', clock, log: log.logger,
      attempt: async () => {
        tries += 1;
        if (clock.now().getTime() < Date.parse('2026-01-01T00:00:25Z')) throw new Error('connect ECONNREFUSED');
        return 'there';
      },
    });
    await clock.advance(40_000);
    assert.equal(await waiting, 'there');
    assert.ok(tries > 8 && tries < 25, `${tries} tries`);
    const messages = log.lines().map((line) => line['msg']);
    assert.equal(messages.pop(), 'the broker is there');
    // at once, and then every 10 s; the last may fall behind the end, since pauses vary
    assert.ok(messages.length === 2 || messages.length === 3, messages.join());
    assert.ok(messages.every((message) => message === 'waiting for the broker'));
  });

  it('keeps a process alive that has nothing else to do', () => {
    const script = `import { waitFor } from './libs/runtime/src/wait-for.ts';
      import { silentLogger } from './libs/runtime/src/logger.ts';
      let tries = 0;
      await waitFor({ what: 'x', log: silentLogger, attempt: async () => { tries += 1; if (tries < 4) throw new Error('no'); } });
      process.exitCode = 40 + tries;`;
    const { status } = spawnSync(process.execPath, ['--import=tsx', '--input-type=module', '--eval', script], { timeout: 30_000 });
    assert.equal(status, 44);
  }).timeout(40_000);
});
