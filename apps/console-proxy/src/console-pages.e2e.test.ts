/** The pages in a real browser, against guests of our own; every state leaves a screenshot to be looked at. */
import assert from 'node:assert/strict';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { ServiceError } from '@gatehouse/errors/service-error';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import { noAudit } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { artifactPath } from '../../../test/servers/artifacts.ts';
import { launchChromium } from '../../../test/servers/chromium.ts';
import { startConsoleProxy } from './app.module.ts';
import { consoleProxyConfig } from './config.ts';
import { TestConsoleAuth } from './test-console-auth.ts';
import { until } from './test-proxy.ts';
import { rfbScreen, serialPrompt, startGuest, type TestGuest } from './test-guests.ts';

const DESKTOP = { width: 1100, height: 720 };
const PHONE = { width: 390, height: 780 };

describe('the console pages in a browser', function () {
  this.timeout(60_000);
  let browser: Browser;
  let transport: Transport;
  let auth: TestConsoleAuth;
  let app: App;
  let base = '';
  const guests: TestGuest[] = [];
  const contexts: BrowserContext[] = [];

  before(async () => {
    browser = await launchChromium();
  });
  after(() => browser.close());

  async function startProxy(proxyPort: string, settings: Record<string, string> = {}): Promise<void> {
    const config = consoleProxyConfig.parse({ proxyPort, proxyName: 'proxy-1', proxyDrain: '0', ...settings });
    app = await startConsoleProxy({ config, transport, audit: noAudit, log: silentLogger, metrics: createMetrics('console-proxy'), clock: systemClock });
    base = app.addresses[0]!.url;
  }

  beforeEach(async () => {
    transport = createMemoryTransport();
    auth = new TestConsoleAuth();
    await auth.serve(transport);
    guests.push(await startGuest(rfbScreen), await startGuest(serialPrompt));
    auth.consoles.set('screen', { instanceName: 'demo-1', consoleType: 'novnc', port: guests[0]!.port });
    auth.consoles.set('line', { instanceName: 'demo-1', consoleType: 'serial', port: guests[1]!.port, exclusive: true });
    await startProxy('0');
  });

  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
    await app.drain();
    await transport.close();
    for (const guest of guests.splice(0)) await guest.close();
  });

  interface Look {
    readonly viewport?: { readonly width: number; readonly height: number };
    readonly dark?: boolean;
  }

  /** A page in a fresh profile, and everything that the browser complains about. */
  async function visit(path: string, { viewport = DESKTOP, dark = false }: Look = {}): Promise<{ page: Page; complaints: string[] }> {
    const context = await browser.newContext({ viewport, colorScheme: dark ? 'dark' : 'light' });
    contexts.push(context);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => {
      // Reading pixels back is this test's own doing.
      if (['error', 'warning'].includes(message.type()) && !message.text().includes('getImageData')) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(base + path);
    return { page, complaints };
  }

  const stateIs = (page: Page, words: string): Promise<void> =>
    page.waitForFunction((wanted) => document.getElementById('state')?.textContent === wanted, words, { timeout: 10_000 }).then(() => {});
  const sessionOf = (page: Page): Promise<string | undefined> => page.evaluate(() => document.body.dataset['session']);
  const shoot = (page: Page, name: string): Promise<Buffer> => page.screenshot({ path: artifactPath(`page-${name}.png`) });

  /** The colours of a canvas along its middle line. */
  const middleLine = (page: Page): Promise<string[]> =>
    page.evaluate(() => {
      const canvas = document.querySelector('canvas');
      const drawing = canvas?.getContext('2d');
      if (!canvas || !drawing) return [];
      const y = Math.floor(canvas.height / 2);
      return Array.from({ length: 64 }, (_, i) => drawing.getImageData(Math.floor((i * canvas.width) / 64), y, 1, 1).data.slice(0, 3).join(','));
    });

  for (const [name, look] of [['light', {}], ['dark', { dark: true }], ['phone', { viewport: PHONE, dark: true }]] as const) {
    it(`show a screen (${name}): its pixels, and that a key reaches the guest`, async () => {
      const { page, complaints } = await visit('/vnc#token=screen', look);
      await stateIs(page, 'Connected');
      await page.waitForFunction(() => document.querySelector('canvas')?.width === 640);
      await page.waitForTimeout(300);
      const before = await middleLine(page);
      assert.ok(new Set(before).size >= 6, `colours: ${[...new Set(before)].join(' ')}`);
      await page.keyboard.press('a');
      await page.waitForTimeout(400);
      assert.notDeepEqual(await middleLine(page), before);
      assert.equal(await page.title(), 'demo-1 · Screen');
      assert.equal(new URL(page.url()).hash, '');
      await shoot(page, `vnc-${name}`);
      assert.deepEqual(complaints, []);
    });

    it(`show a serial line (${name}): what it says, and its answer to a typed line`, async () => {
      const { page, complaints } = await visit('/serial#token=line', look);
      await stateIs(page, 'Connected');
      await page.keyboard.type('uname\n');
      await page.waitForFunction(() => document.querySelector('.xterm-rows')?.textContent?.includes('answered'));
      await page.waitForTimeout(300);
      await shoot(page, `serial-${name}`);
      assert.equal(await page.title(), 'demo-1 · Serial console');
      assert.deepEqual(complaints, []);
    });

    it(`say what this is (${name}), and what is not there`, async () => {
      const { page, complaints } = await visit('/', look);
      await shoot(page, `index-${name}`);
      assert.deepEqual(complaints, []);
      await page.goto(`${base}/no/such/page`);
      await shoot(page, `not-found-${name}`);
      await page.getByText('What is this?').click();
      assert.equal(page.url(), `${base}/`);
    });

    it(`say why a link no longer works (${name})`, async () => {
      const { page, complaints } = await visit('/vnc#token=expired&title=demo-1', look);
      await stateIs(page, 'Closed');
      assert.equal(await page.textContent('#message-title'), 'This link no longer works');
      assert.equal(await page.textContent('#name'), 'demo-1');
      await shoot(page, `expired-${name}`);
      assert.deepEqual(complaints, []);
    });
  }

  it('say that a link is needed when there is none', async () => {
    const { page } = await visit('/serial');
    await stateIs(page, 'Closed');
    assert.equal(await page.textContent('#message-title'), 'A console link is needed');
    await shoot(page, 'no-link');
  });

  it('say that somebody else uses a serial port, and open it when they have left', async () => {
    const first = await visit('/serial#token=line');
    await stateIs(first.page, 'Connected');
    const second = await visit('/serial#token=line');
    await stateIs(second.page, 'Closed');
    assert.equal(await second.page.textContent('#message-title'), 'Somebody is using this console');
    assert.match((await second.page.textContent('#message-reason')) ?? '', /in use since/);
    await shoot(second.page, 'in-use');
    await first.page.close();
    // A page that was left might be loaded anew: its session is kept for it for some seconds.
    await until(() => auth.released.length === 1, 'the release');
    await second.page.click('#reconnect');
    await stateIs(second.page, 'Connected');
    assert.deepEqual(second.complaints, []);
  });

  it('say what ended a session: deletion, a refusing host, a restart announced first', async () => {
    const deleted = await visit('/vnc#token=screen');
    await stateIs(deleted.page, 'Connected');
    auth.toEnd.set([...auth.open.keys()][0]!, 'instance_deleted');
    await stateIs(deleted.page, 'Closed');
    await shoot(deleted.page, 'deleted');
    assert.equal(await deleted.page.textContent('#message-title'), 'The machine was deleted');

    auth.refusals.set('away', new ServiceError('UNAVAILABLE', 'The host of this console does not answer.'));
    const away = await visit('/vnc#token=away');
    await stateIs(away.page, 'Closed');
    await shoot(away.page, 'host-away');

    const port = new URL(base).port;
    await app.drain();
    await startProxy(port, { proxyDrain: '1' });
    const warned = await visit('/serial#token=line');
    await stateIs(warned.page, 'Connected');
    await warned.page.keyboard.type('still typing');
    const drained = app.drain();
    await warned.page.waitForSelector('#notice:not([hidden])');
    await shoot(warned.page, 'draining');
    const session = await sessionOf(warned.page);
    await drained;
    await stateIs(warned.page, 'Reconnecting…');
    await shoot(warned.page, 'drained');
    await startProxy(port);
    await stateIs(warned.page, 'Connected');
    assert.equal(await sessionOf(warned.page), session);
  });

  it('say that the server cannot be reached, and open the console when it is back', async () => {
    auth.refusals.set('line', new ServiceError('UNAVAILABLE', 'The host of this console does not answer.'));
    const { page } = await visit('/serial#token=line');
    await stateIs(page, 'Closed');
    const port = new URL(base).port;
    await app.drain();
    await page.click('#reconnect');
    await page.waitForFunction(() => document.getElementById('message-title')?.textContent === 'The server cannot be reached');
    await shoot(page, 'unreachable');
    auth.refusals.clear();
    await startProxy(port);
    await page.click('#reconnect');
    await stateIs(page, 'Connected');
  });

  it('take the token out of the address and keep it for a reload of this tab only', async () => {
    const { page } = await visit('/vnc#token=screen&title=demo-1');
    await stateIs(page, 'Connected');
    assert.equal(page.url(), `${base}/vnc`);
    await page.reload();
    await stateIs(page, 'Connected');
    const other = await page.context().newPage();
    await other.goto(`${base}/vnc`);
    await stateIs(other, 'Closed');
  });

  it('scale the screen to the window, or not, and fill the display', async () => {
    const { page } = await visit('/vnc#token=screen', { viewport: { width: 500, height: 400 } });
    await stateIs(page, 'Connected');
    const width = (): Promise<number> => page.evaluate(() => document.querySelector('canvas')?.getBoundingClientRect().width ?? 0);
    await page.waitForFunction(() => (document.querySelector('canvas')?.getBoundingClientRect().width ?? 0) <= 500);
    await page.click('#fit');
    await page.waitForFunction(() => document.querySelector('canvas')?.getBoundingClientRect().width === 640);
    await shoot(page, 'vnc-unscaled');
    await page.click('#full-screen');
    await page.waitForFunction(() => document.fullscreenElement?.id === 'stage');
    assert.equal(await width(), 640);
  });

  it('send Ctrl-Alt-Del to the guest', async () => {
    const { page } = await visit('/vnc#token=screen');
    await stateIs(page, 'Connected');
    await page.waitForTimeout(300);
    const before = await middleLine(page);
    await page.click('#ctrl-alt-del');
    await page.waitForTimeout(300);
    assert.notDeepEqual(await middleLine(page), before);
  });
});
