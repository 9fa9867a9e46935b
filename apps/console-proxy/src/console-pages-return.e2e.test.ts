/** The pages in a real browser when a console is lost, taken over, or ended: what its user sees, does and gets back. */
import assert from 'node:assert/strict';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { END_REASONS, ENDINGS } from '@gatehouse/errors/endings';
import { artifactPath } from '../../../test/servers/artifacts.ts';
import { launchChromium } from '../../../test/servers/chromium.ts';
import { TcpRelay } from '../../../test/servers/tcp-relay.ts';
import type { ConsoleProxyConfig } from './config.ts';
import { rfbScreen, serialPrompt, startGuest, type TestGuest } from './test-guests.ts';
import { TestProxies, until } from './test-proxy.ts';

describe('the console pages in a browser, when a console is lost or ended,', function () {
  this.timeout(60_000);
  let browser: Browser;
  let proxies: TestProxies;
  let relay: TcpRelay;
  const guests: TestGuest[] = [];
  const contexts: BrowserContext[] = [];

  before(async () => {
    browser = await launchChromium();
  });
  after(() => browser.close());

  beforeEach(async () => {
    proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    guests.push(await startGuest(rfbScreen), await startGuest(serialPrompt));
    proxies.auth.consoles.set('screen', { instanceName: 'demo-1', consoleType: 'novnc', port: guests[0]!.port });
    proxies.auth.consoles.set('line', { instanceName: 'demo-1', consoleType: 'serial', port: guests[1]!.port, exclusive: true });
  });

  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
    await relay.close();
    await proxies.close();
    for (const guest of guests.splice(0)) await guest.close();
  });

  const portOf = (name: string): number => Number(new URL(proxies.urlOf(name)).port);

  /** A proxy, reached through a network that can be cut. */
  async function start(settings: Partial<ConsoleProxyConfig> = {}): Promise<void> {
    await proxies.start('proxy-1', { proxyResumeWait: 60, ...settings });
    relay = await TcpRelay.to(portOf('proxy-1'));
  }

  async function visit(path: string, { dark = false, context }: { dark?: boolean; context?: BrowserContext } = {}): Promise<Page> {
    const fresh = context ?? (await browser.newContext({ viewport: { width: 1100, height: 720 }, colorScheme: dark ? 'dark' : 'light' }));
    if (context === undefined) contexts.push(fresh);
    const page = await fresh.newPage();
    await page.goto(relay.url + path);
    return page;
  }

  const stateIs = (page: Page, words: string): Promise<void> =>
    page.waitForFunction((wanted) => document.getElementById('state')?.textContent === wanted, words, { timeout: 20_000 }).then(() => {});
  const titleIs = (page: Page, words: string): Promise<void> =>
    page.waitForFunction((wanted) => document.getElementById('message-title')?.textContent === wanted, words, { timeout: 20_000 }).then(() => {});
  const noticeIs = (page: Page, words: RegExp): Promise<void> =>
    page.waitForFunction(
      (wanted) => document.getElementById('notice')?.hidden === false && new RegExp(wanted).test(document.getElementById('notice')?.textContent ?? ''),
      words.source, { timeout: 20_000 },
    ).then(() => {});
  const sessionOf = (page: Page): Promise<string | undefined> => page.evaluate(() => document.body.dataset['session']);
  const shoot = (page: Page, name: string): Promise<Buffer> => page.screenshot({ path: artifactPath(`page-${name}.png`) });
  const kinds = [['serial', 'line'], ['vnc', 'screen']] as const;

  for (const [kind, token] of kinds) {
    it(`come back to the same session when the page is loaded anew (${kind})`, async () => {
      await start();
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
      await start();
      for (const dark of [false, true]) {
        const page = await visit(`/${kind}#token=${token}`, { dark });
        await stateIs(page, 'Connected');
        const session = await sessionOf(page);
        await page.waitForTimeout(300);
        relay.cut();
        await stateIs(page, 'Reconnecting…');
        await noticeIs(page, /The connection was lost\. Trying again/);
        await shoot(page, `lost-${kind}-${dark ? 'dark' : 'light'}`);
        relay.mend();
        await stateIs(page, 'Connected');
        assert.equal(await sessionOf(page), session);
        assert.equal(await page.isVisible('#notice'), false);
        // The console takes input again.
        await page.keyboard.type('x');
        await page.close();
        // Nobody waits for it any more.
        await proxies.endSessions('proxy-1', { [session!]: 'console_gone' });
      }
    });
  }

  it('come back through another proxy when theirs restarts', async () => {
    await start();
    await proxies.start('proxy-2');
    const page = await visit('/serial#token=line');
    await stateIs(page, 'Connected');
    const session = await sessionOf(page);
    relay.leadTo(portOf('proxy-2'));
    await proxies.drain('proxy-1');
    await page.waitForFunction((id) => document.body.dataset['session'] === id && document.getElementById('state')?.textContent === 'Connected', session);
    await until(() => proxies.auth.open.get(session!)?.proxy === 'proxy-2', 'the other proxy');
  });

  it('say that the link has expired when they come back too late', async () => {
    await start({ proxyResumeWait: 1 });
    const page = await visit('/serial#token=line');
    await stateIs(page, 'Connected');
    relay.cut();
    await until(() => proxies.auth.open.size === 0, 'the release');
    proxies.auth.consoles.delete('line');
    relay.mend();
    await titleIs(page, 'This link no longer works');
    assert.equal(await page.isVisible('#reconnect'), false);
    await shoot(page, 'expired-meanwhile');
  });

  it('say that they are back with a new session when the one before has ended meanwhile', async () => {
    await start({ proxyResumeWait: 1 });
    const page = await visit('/serial#token=line');
    await stateIs(page, 'Connected');
    const session = await sessionOf(page);
    relay.cut();
    await until(() => proxies.auth.open.size === 0, 'the release');
    relay.mend();
    await noticeIs(page, /Your session ended while the connection was lost\. This is a new one\./);
    assert.notEqual(await sessionOf(page), session);
    await shoot(page, 'new-session');
  });

  it('show since when a serial port is in use, in a second tab with the same link, and open it there when it is free', async () => {
    await start();
    const first = await visit('/serial#token=line');
    await stateIs(first, 'Connected');
    for (const dark of [false, true]) {
      const second = await visit('/serial#token=line', { dark });
      await titleIs(second, 'Somebody is using this console');
      assert.match((await second.textContent('#message-reason')) ?? '', /in use since/);
      await shoot(second, `in-use-${dark ? 'dark' : 'light'}`);
      await second.close();
    }
    assert.equal(await first.textContent('#state'), 'Connected');
  });

  it('come back less and less often to a console that is lost again each time', async () => {
    let comings = 0;
    const broken = await startGuest((socket) => {
      comings += 1;
      setTimeout(() => socket.resetAndDestroy(), 50);
    });
    guests.push(broken);
    proxies.auth.consoles.set('broken', { instanceName: 'demo-2', consoleType: 'serial', port: broken.port });
    await start();
    const page = await visit('/serial#token=broken');
    await until(() => comings >= 4, 'the first attempts', 15_000);
    await page.waitForTimeout(3_000);
    assert.ok(comings <= 6, `${comings} times`);
  });

  it('can be left and opened again by keyboard when the console has ended', async () => {
    await start();
    for (const [kind, token] of kinds) {
      const page = await visit(`/${kind}#token=${token}`);
      await stateIs(page, 'Connected');
      await proxies.endSessions('proxy-1', { [(await sessionOf(page))!]: 'ended_by_operator' });
      await titleIs(page, 'This session was ended');
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
    await start();
    const first = await visit('/serial#token=line');
    await stateIs(first, 'Connected');
    // What a browser does when a tab is duplicated.
    const kept = await first.evaluate(() => sessionStorage.getItem('gatehouse /serial'));
    const context = await browser.newContext({ viewport: { width: 1100, height: 720 } });
    contexts.push(context);
    await context.addInitScript((value) => sessionStorage.setItem('gatehouse /serial', value!), kept);
    const copy = await visit('/serial', { context });
    await stateIs(copy, 'Connected');
    await titleIs(first, 'This session went on elsewhere');
    await shoot(first, 'superseded');
    await first.click('#reconnect');
    await stateIs(first, 'Connected');
    await titleIs(copy, 'This session went on elsewhere');
    assert.deepEqual(proxies.auth.released, []);
  });

  for (const [kind, token] of kinds) {
    it(`count down before an idle console is closed (${kind}), take it away when its user types, moves or stays, and say why it ended`, async () => {
      await start({ proxyIdleTimeout: 12 });
      const page = await visit(`/${kind}#token=${token}`, { dark: kind === 'vnc' });
      await stateIs(page, 'Connected');
      await noticeIs(page, /Nothing was typed for a while\. Type( or move the pointer)? to stay; this console closes in [1-6] s/);
      await shoot(page, `idle-${kind}`);
      const before = await page.textContent('#notice-seconds');
      await page.waitForFunction((was) => document.getElementById('notice-seconds')?.textContent !== was, before);
      await page.keyboard.press('a');
      await page.waitForFunction(() => document.getElementById('notice')?.hidden);
      await noticeIs(page, /closes in/);
      await page.click('#stay');
      await page.waitForFunction(() => document.getElementById('notice')?.hidden);
      await titleIs(page, 'Nobody was there');
      assert.match((await page.textContent('#message-detail')) ?? '', /^Code 4025 · session /);
      await shoot(page, `idle-over-${kind}`);
      await until(() => proxies.auth.released.length === 1, 'the release');
      assert.equal(proxies.auth.released[0]?.reason, 'idle_timeout');
    });
  }

  it('count down before a session reaches its limit, which typing does not change', async () => {
    proxies.auth.ageSeconds = 3_590;
    await start({ proxyLifetimeMax: 3_600 });
    const page = await visit('/serial#token=line');
    await noticeIs(page, /This session has reached its limit\. Finish what you are doing; it closes in \d+ s/);
    assert.equal(await page.isVisible('#stay'), false);
    await shoot(page, 'lifetime');
    await page.keyboard.type('more');
    await titleIs(page, 'The session has reached its limit');
    await shoot(page, 'lifetime-over');
  });

  const ends = END_REASONS.filter((reason) => ENDINGS[reason].close >= 4_000 && !['host_unreachable', 'superseded'].includes(reason));
  const told: readonly (readonly [reason: string, words: string])[] = [
    ...ends.map((reason) => [reason, ENDINGS[reason].words] as const),
    ['maintenance of rack 7', 'The session ended: maintenance of rack 7.'],
  ];
  for (const [index, [reason, words]] of told.entries()) {
    const [kind, token] = kinds[index % 2]!;
    const dark = index % 4 > 1;
    it(`say why a session was ended: ${reason} (${kind}, ${dark ? 'dark' : 'light'})`, async () => {
      await start();
      const page = await visit(`/${kind}#token=${token}`, { dark });
      await stateIs(page, 'Connected');
      await proxies.endSessions('proxy-1', { [(await sessionOf(page))!]: reason });
      await stateIs(page, 'Closed');
      assert.equal(await page.textContent('#message-reason'), words);
      await shoot(page, `ended-${reason.replaceAll(/\W/g, '-')}`);
    });
  }
});
