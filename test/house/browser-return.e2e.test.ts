/** A serial console of the whole house in Chromium: what its user gets back after a reload and a lost network, and what they read when it ends. */
import assert from 'node:assert/strict';
import type { Browser, Page } from 'playwright-core';
import { artifactPath } from '../servers/artifacts.ts';
import { launchChromium } from '../servers/chromium.ts';
import { LostTime } from '../servers/lost-time.ts';
import { TcpRelay } from '../servers/tcp-relay.ts';
import { ComputeClient } from './compute-client.ts';
import { awaitWords, terminalText } from './console-page.ts';
import { StandaloneProcess } from './standalone-process.ts';

const IDLE_SECONDS = 40;

describe('a serial console in Chromium that is lost, shared or ended', function () {
  this.timeout(120_000);
  let standalone: StandaloneProcess;
  let compute: ComputeClient;
  let relay: TcpRelay;
  let browser: Browser;
  let page: Page;
  let link: string;

  before(async () => {
    standalone = await StandaloneProcess.start({ GATEHOUSE_PROXY_IDLE_TIMEOUT: String(IDLE_SECONDS), GATEHOUSE_PROXY_RESUME_WAIT: '60' });
    compute = new ComputeClient(standalone.apiUrl);
    relay = await TcpRelay.to(Number(new URL(standalone.printedUrls('serial')[0] ?? assert.fail(standalone.output)).port));
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    await relay?.close();
    await standalone?.stop();
  });

  /** Each test has a machine of its own: a port that was left is kept for its user for a while. */
  beforeEach(async () => {
    const id = await compute.createServer('lost-and-found');
    await compute.awaitActive(id);
    const url = new URL(await compute.consoleUrl(id, 'serial'));
    link = `${relay.url}${url.pathname}${url.hash}`;
    page = await browser.newPage({ viewport: { width: 1100, height: 720 } });
    await page.goto(link);
    await awaitState(page, 'Connected');
  });
  afterEach(() => page.close());

  const sessionOf = async (): Promise<string> => (await page.evaluate(() => document.body.dataset['session'])) ?? assert.fail('no session on the page');

  it('goes on with the same session when its page is loaded anew, though nobody else may use the port', async () => {
    const session = await sessionOf();
    for (let time = 0; time < 2; time++) {
      await page.reload();
      await awaitState(page, 'Connected');
      assert.equal(await sessionOf(), session);
    }
    await page.keyboard.type('echo typed after a reload\n', { delay: 10 });
    await awaitTerminal(page, /^typed after a reload\s*$/m);
  });

  it('goes on with the same session when the network comes back, with what stood on the line', async () => {
    const session = await sessionOf();
    await page.keyboard.type('echo before the loss\n', { delay: 10 });
    await awaitTerminal(page, /^before the loss\s*$/m);
    relay.cut();
    await awaitWords(page, /The connection was lost\. Trying again/);
    await page.screenshot({ path: artifactPath('serial-lost.png') });
    relay.mend();
    await awaitState(page, 'Connected');
    assert.equal(await sessionOf(), session);
    await awaitTerminal(page, /^before the loss\s*$/m);
    await page.keyboard.type('echo after the loss\n', { delay: 10 });
    await awaitTerminal(page, /^after the loss\s*$/m);
  });

  it('tells a second browser since when it is in use, and is not disturbed', async () => {
    const second = await browser.newPage();
    await second.goto(link);
    await awaitWords(second, /in use since .*\d{2}:\d{2}/i);
    await second.screenshot({ path: artifactPath('serial-second-browser.png') });
    await second.close();
    assert.equal(await page.textContent('#state'), 'Connected');
  });

  it('shows within a second that an operator ended it', async () => {
    const lostTime = new LostTime();
    const stretch = lostTime.begin();
    const ended = await fetch(`${standalone.apiUrl}/v1/console-sessions/${await sessionOf()}`, { method: 'DELETE', headers: { 'x-auth-token': 'admin:demo' } });
    assert.ok(ended.ok, `${ended.status} ${await ended.text()}`);
    await awaitWords(page, /This session was ended/);
    const tookMs = await stretch.tookMs();
    await lostTime.stop();
    assert.ok(tookMs < 5_000, `${tookMs} ms, the browser included`);
    assert.match((await page.textContent('#message-detail')) ?? '', /^Code 4022 · session /);
    await page.screenshot({ path: artifactPath('serial-ended.png') });
  });

  it('counts down when nothing is typed, and stays when something is', async () => {
    await page.waitForSelector('#notice:not([hidden])', { timeout: IDLE_SECONDS * 1_000 });
    const seconds = async (): Promise<number> => Number.parseInt((await page.textContent('#notice-seconds')) ?? '', 10);
    const first = await seconds();
    assert.ok(first > 0 && first <= IDLE_SECONDS / 2, `${first} s`);
    await page.screenshot({ path: artifactPath('serial-idle.png') });
    await page.waitForFunction((was) => Number.parseInt(document.getElementById('notice-seconds')?.textContent ?? '', 10) < was, first);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#notice', { state: 'hidden' });
    assert.equal(await page.textContent('#state'), 'Connected');
  });
});

async function awaitState(page: Page, words: string): Promise<void> {
  await page.waitForFunction((wanted) => document.getElementById('state')?.textContent === wanted, words, { timeout: 20_000 });
}

async function awaitTerminal(page: Page, pattern: RegExp, timeoutMs = 15_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!pattern.test(await terminalText(page))) {
    assert.ok(Date.now() < deadline, `no ${pattern} in ${await terminalText(page)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
