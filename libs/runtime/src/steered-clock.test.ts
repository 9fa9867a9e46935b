import assert from 'node:assert/strict';
import { captureLog } from './fixtures/capture-log.ts';
import type { Clock } from './clock.ts';
import { SteeredClock } from './steered-clock.ts';
import { TestClock } from './test-clock.ts';

const TRUE_START = Date.parse('2026-05-06T12:00:00Z');
const MINUTE_MS = 60_000;

/** A machine whose clock is off by `offMs`, and a database whose clock is right. */
function world(offMs: number) {
  const truth = new TestClock(new Date(TRUE_START));
  let machineOffMs = offMs;
  const machine: Clock = {
    now: () => new Date(truth.now().getTime() + machineOffMs),
    after: (delayMs, work) => truth.after(delayMs, work),
    sleep: (delayMs, signal) => truth.sleep(delayMs, signal),
  };
  let answersMs: number[] = [];
  let databaseOffMs = 0;
  const log = captureLog();
  const clock = new SteeredClock({ log: log.logger, machine, steadyMs: () => truth.now().getTime() - TRUE_START + 12_345 });
  return {
    truth, clock, log,
    errorMs: () => clock.now().getTime() - truth.now().getTime(),
    /** The database's answers take so long on their way back. */
    slow: (...delays: number[]) => (answersMs = delays),
    setMachine: (ms: number) => (machineOffMs = ms),
    setDatabase: (ms: number) => (databaseOffMs = ms),
    async ask(): Promise<Date> {
      const time = new Date(truth.now().getTime() + databaseOffMs);
      await truth.advance(answersMs.shift() ?? 0);
      return time;
    },
  };
}

/** A look may wait for a second one. */
async function look(at: ReturnType<typeof world>, ask = () => at.ask()): Promise<void> {
  const looking = at.clock.look(ask);
  looking.catch(() => {});
  for (let step = 0; step < 20; step += 1) await at.truth.advance(100);
  await looking;
}

describe('a steered clock', () => {
  it("is the machine's until it has been told the time, and when it cannot be told", async () => {
    const at = world(5 * MINUTE_MS);
    await assert.rejects(look(at, () => Promise.reject(new Error('away'))), /away/);
    assert.equal(at.errorMs(), 5 * MINUTE_MS);
  });

  it('believes no answer that was long on its way', async () => {
    const at = world(5 * MINUTE_MS);
    at.slow(1_500, 2_000, 1_200);
    await assert.rejects(look(at), /too long to believe/);
    assert.equal(at.errorMs(), 5 * MINUTE_MS);
    await look(at);
    at.slow(1_500, 2_000, 1_200);
    await look(at);
    assert.equal(at.errorMs(), 0);
  });

  it('does not move by minutes for one odd answer', async () => {
    const at = world(0);
    await look(at);
    let asked = 0;
    const odd = async (): Promise<Date> => {
      asked += 1;
      return new Date(at.truth.now().getTime() + (asked <= 3 ? 7 * MINUTE_MS : 0));
    };
    await assert.rejects(look(at, odd), /two looks differ by -420000 ms/);
    assert.equal(at.errorMs(), 0);
  });

  for (const offMs of [5 * MINUTE_MS, -5 * MINUTE_MS]) {
    it(`is right on a machine whose clock is off by ${offMs / MINUTE_MS} minutes, and says so once`, async () => {
      const at = world(offMs);
      await look(at);
      await look(at);
      assert.equal(at.errorMs(), 0);
      const warnings = at.log.lines().filter(({ level }) => level === 'warn');
      assert.deepEqual(warnings.map(({ machineOffMs, machine_off_ms }) => machineOffMs ?? machine_off_ms), [offMs]);
      assert.match(String(warnings[0]?.['msg']), /differs from the database's by more than a second/);
      at.setMachine(0);
      await look(at);
      assert.match(at.log.text(), /agrees with the database's again/);
    });
  }

  it('takes half of the quickest round trip off', async () => {
    const at = world(0);
    at.slow(900, 100, 500);
    await look(at);
    assert.equal(at.errorMs(), -50);
  });

  it("does not follow somebody who sets the machine's clock", async () => {
    const at = world(0);
    await look(at);
    at.setMachine(60 * MINUTE_MS);
    assert.equal(at.errorMs(), 0);
  });

  it('never runs backwards for a small correction', async () => {
    const at = world(0);
    await look(at);
    const before = at.clock.now();
    at.setDatabase(-800);
    await at.clock.look(() => at.ask());
    assert.deepEqual(at.clock.now(), before);
    await at.truth.advance(1_000);
    assert.equal(at.errorMs(), -800);
  });

  it("follows the database's time when that was set, back or forth, once two looks agree", async () => {
    for (const databaseOffMs of [3 * MINUTE_MS, -3 * MINUTE_MS]) {
      const at = world(0);
      await look(at);
      at.setDatabase(databaseOffMs);
      await look(at);
      assert.equal(at.errorMs(), databaseOffMs);
      assert.match(at.log.text(), /time of the database has moved/);
    }
  });

  it('looks again and again until that is stopped, and goes on through failures', async () => {
    const at = world(5 * MINUTE_MS);
    let isAway = true;
    let asked = 0;
    const ask = (): Promise<Date> => {
      asked += 1;
      return isAway ? Promise.reject(new Error('away')) : at.ask();
    };
    const rounds = at.clock.follow(ask);
    await at.truth.advance(100);
    assert.equal(asked, 1);
    isAway = false;
    for (let second = 0; second < 15; second += 1) await at.truth.advance(1_000);
    assert.equal(at.errorMs(), 0);
    await rounds.stop();
    const count = asked;
    await at.truth.advance(60_000);
    assert.equal(asked, count);
    assert.equal(at.truth.pending, 0);
  });
});
