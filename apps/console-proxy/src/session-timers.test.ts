import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { SessionTimers, type Timed } from './session-timers.ts';
import { echo, rfbScreen, startGuest, type TestGuest } from './test-guests.ts';
import { TestProxies, until } from './test-proxy.ts';

describe('the timers of a session', () => {
  let told: string[];
  const timed: Timed = {
    warn: (reason, seconds) => void told.push(`warn ${reason} ${seconds}`),
    end: (reason) => void told.push(`end ${reason}`),
  };
  beforeEach(() => (told = []));

  function beatUntil(timers: SessionTimers, fromS: number, toS: number): void {
    for (let second = fromS; second <= toS; second++) timers.beat(second * 1_000, timed);
  }

  it('say nothing while nothing is limited', () => {
    beatUntil(new SessionTimers({ idleTimeoutMs: 0, lifetimeMaxMs: 0 }, 0, 0), 1, 10_000);
    assert.deepEqual(told, []);
  });

  it('warn a minute before they end a session without input', () => {
    const timers = new SessionTimers({ idleTimeoutMs: 300_000, lifetimeMaxMs: 0 }, 0, 0);
    beatUntil(timers, 1, 239);
    assert.deepEqual(told, []);
    beatUntil(timers, 240, 299);
    assert.deepEqual(told, ['warn idle_timeout 60']);
    beatUntil(timers, 300, 300);
    assert.deepEqual(told.slice(1), ['end idle_timeout']);
  });

  it('take the warning back after input, and begin anew', () => {
    const timers = new SessionTimers({ idleTimeoutMs: 300_000, lifetimeMaxMs: 0 }, 0, 0);
    beatUntil(timers, 1, 250);
    timers.input();
    beatUntil(timers, 251, 490);
    assert.deepEqual(told, ['warn idle_timeout 60', 'warn idle_timeout null']);
    beatUntil(timers, 491, 551);
    assert.deepEqual(told.slice(2), ['warn idle_timeout 60', 'end idle_timeout']);
  });

  it('warn not before half of a short time, so that input is worth something', () => {
    const timers = new SessionTimers({ idleTimeoutMs: 10_000, lifetimeMaxMs: 0 }, 0, 0);
    beatUntil(timers, 1, 10);
    assert.deepEqual(told, ['warn idle_timeout 5', 'end idle_timeout']);
  });

  it('count the life of a session from its start, whoever carries it, and input does not prolong it', () => {
    const timers = new SessionTimers({ idleTimeoutMs: 0, lifetimeMaxMs: 3_600_000 }, 3_500_000, 0);
    beatUntil(timers, 1, 39);
    timers.input();
    beatUntil(timers, 40, 100);
    assert.deepEqual(told, ['warn lifetime_over 60', 'end lifetime_over']);
  });

  it('end a session once, when both are over', () => {
    const timers = new SessionTimers({ idleTimeoutMs: 1_000, lifetimeMaxMs: 1_000 }, 0, 0);
    timers.beat(5_000, timed);
    assert.deepEqual(told, ['end lifetime_over']);
  });
});

describe('a session that a timer ends', () => {
  let proxies: TestProxies;
  let guests: TestGuest[];
  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guests = [await startGuest(echo), await startGuest(rfbScreen)];
    proxies.auth.consoles.set('line', { instanceName: 'demo-1', consoleType: 'serial', port: guests[0]!.port });
    proxies.auth.consoles.set('screen', { instanceName: 'demo-1', consoleType: 'novnc', port: guests[1]!.port });
  });
  afterEach(async () => {
    await proxies.close();
    for (const guest of guests) await guest.close();
  });

  it('is told before, ends with its code and words, and is released with the reason', async () => {
    await proxies.start('proxy-1', { proxyIdleTimeout: 4 });
    const page = proxies.open('proxy-1', 'line');
    await page.session();
    await until(() => page.warnings().length === 1, 'the warning');
    assert.deepEqual(page.warnings(), [{ type: 'warning', reason: 'idle_timeout', seconds: page.warnings()[0]!['seconds'] }]);
    assert.deepEqual(await page.closed, { code: 4025, reason: 'Nothing was typed for too long.' });
    await until(() => proxies.auth.released.length === 1, 'the release');
    assert.equal(proxies.auth.released[0]?.reason, 'idle_timeout');
  });

  it('stays while its user types, or says that they stay, and the warning is taken back', async function () {
    this.timeout(30_000);
    await proxies.start('proxy-1', { proxyIdleTimeout: 6 });
    const page = proxies.open('proxy-1', 'line');
    await page.session();
    for (const [round, stay] of [(): void => page.socket.send(Buffer.from('x')), (): void => page.socket.send('{"type":"stay"}')].entries()) {
      await until(() => page.warnings().length === 2 * round + 1, 'the warning');
      stay();
      await until(() => page.warnings().length === 2 * round + 2, 'that it is taken back');
    }
    assert.deepEqual(page.warnings().map(({ seconds }) => seconds === null), [false, true, false, true]);
    page.socket.send('not even JSON');
    page.socket.send('null');
    await pause(100);
    assert.equal(page.socket.readyState, page.socket.OPEN);
  });

  it('ends though its viewer asks for pictures all the time: that is no input', async () => {
    await proxies.start('proxy-1', { proxyIdleTimeout: 3 });
    const page = proxies.open('proxy-1', 'screen');
    await page.session();
    page.socket.send(Buffer.concat([Buffer.from('RFB 003.008\n'), Buffer.from([1, 1])]));
    const asking = setInterval(() => page.socket.send(Buffer.from([3, 1, 0, 0, 0, 0, 2, 128, 1, 144])), 100);
    assert.equal((await page.closed).code, 4025);
    clearInterval(asking);
  });

  it('ends when its life is over, counted from its first connect', async () => {
    proxies.auth.ageSeconds = 86_395;
    await proxies.start('proxy-1', { proxyLifetimeMax: 86_400 });
    const page = proxies.open('proxy-1', 'line');
    assert.deepEqual(await page.closed, { code: 4026, reason: 'The session has lasted as long as sessions may.' });
    assert.equal(page.warnings()[0]?.['reason'], 'lifetime_over');
  });

  it('does not come to be when its host is too slow, and its client reads why', async () => {
    const deaf = await startGuest(() => {});
    guests.push(deaf);
    proxies.auth.consoles.set('slow', { instanceName: 'demo-1', consoleType: 'serial', port: 1, endpoint: `127.0.0.1:${deaf.port}` });
    await proxies.start('proxy-1', { proxyConnectTimeout: 1 });
    const { code, reason } = await proxies.open('proxy-1', 'slow').closed;
    assert.equal(code, 4504);
    assert.match(reason, /did not open the console within/);
    await until(() => proxies.auth.released.length === 1, 'the release');
  });
});
