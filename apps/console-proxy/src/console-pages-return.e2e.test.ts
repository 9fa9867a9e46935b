/** The pages in a real browser when a console is lost, taken over, or ended: what its user sees, does and gets back. */
import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { END_REASONS, ENDINGS } from '@gatehouse/errors/endings';
import { noticeIs, sessionOf, shoot, stateIs, TestPages, titleIs, type Look } from './test-pages.ts';
import type { TestProxies } from './test-proxy.ts';
import { until } from './test-proxy.ts';

describe('the console pages in a browser, when a console is lost or ended,', function () {
  this.timeout(60_000);
  let pages: TestPages;
  let proxies: TestProxies;

  before(async () => {
    pages = await TestPages.start();
  });
  after(() => pages.close());
  beforeEach(async () => {
    await pages.setUp();
    ({ proxies } = pages);
  });
  afterEach(() => pages.tearDown());

  async function visit(path: string, look: Look = 'light'): Promise<Page> {
    return (await pages.visit(path, look)).page;
  }

  const kinds = [['serial', 'line'], ['vnc', 'screen']] as const;

  for (const [kind, token] of kinds) {
    it(`come back to the same session when the page is loaded anew (${kind})`, async () => {
      await pages.startProxy({ proxyResumeWait: 60 });
      const page = await visit(`/${kind}#token=${token}`);
      await stateIs(page, 'Connected');
      const session = await sessionOf(page);
      for (let time = 0; time < 3; time++) {
        await page.reload();
        await stateIs(page, 'Connected');
        assert.equal(await sessionOf(page), session, JSON.stringify(proxies.auth.released));
      }
      assert.deepEqual(proxies.auth.released, []);
    });

    it(`come back to the same session after the network was lost (${kind}), and say meanwhile what they do`, async () => {
      await pages.startProxy({ proxyResumeWait: 60 });
      for (const dark of [false, true]) {
        const page = await visit(`/${kind}#token=${token}`, dark ? 'dark' : 'light');
        await stateIs(page, 'Connected');
        const session = await sessionOf(page);
        await page.waitForTimeout(300);
        pages.relay.cut();
        await stateIs(page, 'Reconnecting…');
        await noticeIs(page, /The connection was lost\. Trying again/);
        await shoot(page, `lost-${kind}-${dark ? 'dark' : 'light'}`);
        pages.relay.mend();
        await stateIs(page, 'Connected');
        assert.equal(await sessionOf(page), session);
        assert.equal(await page.isVisible('#notice'), false);
        // The console takes input again.
        await page.keyboard.type('x');
        await page.close();
        // Nobody waits for it any more.
        await proxies.endSessions('proxy-1', { [session!]: 'console_gone' });
        await until(() => proxies.auth.open.size === 0, 'the release, so that the next may have the port');
      }
    });
  }

  it('come back through another proxy when theirs restarts', async () => {
    await pages.startProxy({ proxyResumeWait: 60 });
    await proxies.start('proxy-2');
    const page = await visit('/serial#token=line');
    await stateIs(page, 'Connected');
    const session = await sessionOf(page);
    pages.leadTo('proxy-2');
    await proxies.drain('proxy-1');
    await page.waitForFunction((id) => document.body.dataset['session'] === id && document.getElementById('state')?.textContent === 'Connected', session);
    await until(() => proxies.auth.open.get(session!)?.proxy === 'proxy-2', 'the other proxy');
  });

  it('say that the link has expired when they come back too late', async () => {
    await pages.startProxy({ proxyResumeWait: 1 });
    const page = await visit('/serial#token=line');
    await stateIs(page, 'Connected');
    pages.relay.cut();
    await until(() => proxies.auth.open.size === 0, 'the release');
    proxies.auth.consoles.delete('line');
    pages.relay.mend();
    await titleIs(page, 'This link no longer works');
    assert.equal(await page.isVisible('#reconnect'), false);
    await shoot(page, 'expired-meanwhile');
  });

  it('say that they are back with a new session when the one before has ended meanwhile', async () => {
    await pages.startProxy({ proxyResumeWait: 1 });
    const page = await visit('/serial#token=line');
    await stateIs(page, 'Connected');
    const session = await sessionOf(page);
    pages.relay.cut();
    await until(() => proxies.auth.open.size === 0, 'the release');
    pages.relay.mend();
    await noticeIs(page, /Your session ended while the connection was lost\. This is a new one\./);
    assert.notEqual(await sessionOf(page), session);
    await shoot(page, 'new-session');
  });

  it('show since when a serial port is in use, in a second tab with the same link, and open it there when it is free', async () => {
    await pages.startProxy({ proxyResumeWait: 60 });
    const first = await visit('/serial#token=line');
    await stateIs(first, 'Connected');
    for (const dark of [false, true]) {
      const second = await visit('/serial#token=line', dark ? 'dark' : 'light');
      await titleIs(second, 'Somebody is using this console');
      assert.match((await second.textContent('#message-reason')) ?? '', /in use since/);
      await shoot(second, `in-use-${dark ? 'dark' : 'light'}`);
      await second.close();
    }
    assert.equal(await first.textContent('#state'), 'Connected');
  });

  it('come back less and less often to a console that is lost again each time', async () => {
    let comings = 0;
    const broken = await pages.startGuest((socket) => {
      comings += 1;
      setTimeout(() => socket.resetAndDestroy(), 50);
    });
    proxies.auth.consoles.set('broken', { instanceName: 'demo-2', consoleType: 'serial', port: broken.port });
    await pages.startProxy({ proxyResumeWait: 60 });
    const page = await visit('/serial#token=broken');
    await until(() => comings >= 4, 'the first attempts', 30_000);
    const [before, sinceMs] = [comings, Date.now()];
    await page.waitForTimeout(3_000);
    // From here on they are at least 2.4 seconds apart.
    assert.ok(comings - before <= 1 + (Date.now() - sinceMs) / 2_400, `${comings - before} times in ${Date.now() - sinceMs} ms`);
  });

  it('can be left and opened again by keyboard when the console has ended', async () => {
    await pages.startProxy({ proxyResumeWait: 60 });
    for (const [kind, token] of kinds) {
      const page = await visit(`/${kind}#token=${token}`);
      await stateIs(page, 'Connected');
      const session = (await sessionOf(page))!;
      await proxies.endSessions('proxy-1', { [session]: 'ended_by_operator' });
      await titleIs(page, 'This session was ended');
      await until(() => !proxies.auth.open.has(session), 'the release, so that the port may be opened again');
      // Still meant for the machine: it opens nothing.
      await page.keyboard.press('Enter');
      assert.equal(await page.textContent('#state'), 'Closed');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await stateIs(page, 'Connected');
      await page.close();
    }
  });

  it('hand a session over to a copy of the tab, tell the first so, and take it back', async () => {
    await pages.startProxy({ proxyResumeWait: 60 });
    const first = await visit('/serial#token=line');
    await stateIs(first, 'Connected');
    // What a browser does when a tab is duplicated.
    const kept = await first.evaluate(() => sessionStorage.getItem('gatehouse /serial'));
    const context = await pages.newContext();
    await context.addInitScript((value) => sessionStorage.setItem('gatehouse /serial', value!), kept);
    const { page: copy } = await pages.visit('/serial', 'light', context);
    await stateIs(copy, 'Connected');
    await titleIs(first, 'This session went on elsewhere');
    await shoot(first, 'superseded');
    await first.click('#reconnect');
    await stateIs(first, 'Connected');
    await titleIs(copy, 'This session went on elsewhere');
    assert.deepEqual(proxies.auth.released, []);
  });

  it('count down before an idle console is closed, take that away when its user types, moves or stays, and say why it ended', async () => {
    await pages.startProxy({ proxyResumeWait: 60, proxyIdleTimeout: 10 });
    await Promise.all(kinds.map(async ([kind, token]) => {
      const page = await visit(`/${kind}#token=${token}`, kind === 'vnc' ? 'dark' : 'light');
      await stateIs(page, 'Connected');
      await noticeIs(page, /Nothing was typed for a while\. Type( or move the pointer)? to stay; this console closes in [1-5] s/);
      const before = await page.textContent('#notice-seconds');
      await page.waitForFunction((was) => document.getElementById('notice-seconds')?.textContent !== was, before);
      await page.keyboard.press('a');
      await page.waitForFunction(() => document.getElementById('notice')?.hidden);
      await noticeIs(page, /closes in/);
      await page.click('#stay');
      await page.waitForFunction(() => document.getElementById('notice')?.hidden);
      await noticeIs(page, /closes in/);
      await shoot(page, `idle-${kind}`);
      await titleIs(page, 'Nobody was there');
      assert.match((await page.textContent('#message-detail')) ?? '', /^Code 4025 · session /);
      await shoot(page, `idle-over-${kind}`);
    }));
    await until(() => proxies.auth.released.length === 2, 'the releases');
    assert.deepEqual(proxies.auth.released.map(({ reason }) => reason), ['idle_timeout', 'idle_timeout']);
  });

  it('count down before a session reaches its limit, which typing does not change', async () => {
    proxies.auth.ageSeconds = 3_594;
    await pages.startProxy({ proxyResumeWait: 60, proxyLifetimeMax: 3_600 });
    const page = await visit('/serial#token=line');
    await noticeIs(page, /This session has reached its limit\. Finish what you are doing; it closes in \d+ s/);
    assert.equal(await page.isVisible('#stay'), false);
    await shoot(page, 'lifetime');
    await page.keyboard.type('more');
    await titleIs(page, 'The session has reached its limit');
    await shoot(page, 'lifetime-over');
  });

  const told: readonly (readonly [reason: string, words: string])[] = [
    ...END_REASONS.filter((reason) => ENDINGS[reason].close >= 4_000 && !['host_unreachable', 'superseded'].includes(reason)).map((reason) => [reason, ENDINGS[reason].words] as const),
    ['maintenance of rack 7', 'The session ended: maintenance of rack 7.'],
  ];
  for (const [index, look] of (['light', 'dark', 'phone', 'phone-light'] as const).entries()) {
    const [kind, token] = kinds[index % 2]!;
    const reasons = told.filter((_, at) => at % 4 === index);
    it(`say why a session was ended (${kind}, ${look}): ${reasons.map(([reason]) => reason).join(', ')}`, async () => {
      await pages.startProxy({ proxyResumeWait: 60 });
      const page = await visit(`/${kind}`, look);
      for (const [reason, words] of reasons) {
        // As a new link is pasted into the address of the same tab.
        await page.evaluate((link) => (location.hash = link), `token=${token}`);
        await stateIs(page, 'Connected');
        await proxies.endSessions('proxy-1', { [(await sessionOf(page))!]: reason });
        await stateIs(page, 'Closed');
        await until(() => proxies.auth.open.size === 0, 'the release');
        assert.equal(await page.textContent('#message-reason'), words);
        await shoot(page, `ended-${reason.replaceAll(/\W/g, '-')}`);
      }
    });
  }
});
