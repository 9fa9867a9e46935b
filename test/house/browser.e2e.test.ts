import assert from 'node:assert/strict';
import type { Browser, Page } from 'playwright-core';
import { artifactPath } from '../servers/artifacts.ts';
import { launchChromium } from '../servers/chromium.ts';
import { ComputeClient } from './compute-client.ts';
import { awaitWords, canvasPicture, terminalText } from './console-page.ts';
import { coloursOf, showsText, type LetterSize } from './screen-text.ts';
import { StandaloneProcess } from './standalone-process.ts';

const SYMBOLS = 'P@ss w0rd!"$%^&*(){}|:<>?~';

describe('the consoles that npm start prints, in Chromium', function () {
  this.timeout(120_000);
  let standalone: StandaloneProcess;
  let compute: ComputeClient;
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];

  before(async () => {
    standalone = await StandaloneProcess.start();
    compute = new ComputeClient(standalone.apiUrl);
    browser = await launchChromium();
  });

  after(async () => {
    await browser?.close();
    await standalone?.stop();
  });

  beforeEach(async () => {
    page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
  });

  afterEach(() => page.close());

  it('shows the machine, takes what is typed, and shows it', async () => {
    const [url] = standalone.printedUrls('vnc');
    await page.goto(url ?? assert.fail(`no VNC URL in ${standalone.output}`));
    await awaitWords(page, /connected/i);
    const servers = await compute.listServers();
    const name = servers.map((server) => server.name).sort()[0] ?? assert.fail('no demo instance');
    assert.match(await page.title(), new RegExp(name));
    assert.equal(new URL(page.url()).hash, '', 'the token stays in the address bar');

    await awaitPicture(page, (picture) => showsText(picture, name, 'large'));
    assert.ok(coloursOf(await canvasPicture(page)) > 4);
    await page.locator('canvas').click();
    await page.keyboard.type('Hello, Gatehouse!', { delay: 20 });
    // The caret stands in the last letter's cell.
    await awaitPicture(page, (picture) => showsText(picture, 'Hello, Gatehouse'));
    await page.screenshot({ path: artifactPath('vnc-simulated.png') });
  });

  it('is typed a text key by key, and sent combinations that a browser keeps to itself', async () => {
    await page.goto(standalone.printedUrls('vnc')[1] ?? '');
    await page.click('#type-text:enabled');
    // The caret stands in the last letter's cell.
    await page.fill('#type-what', `${SYMBOLS} .`);
    await page.click('#type-go');
    await awaitPicture(page, (picture) => showsText(picture, SYMBOLS));
    await page.screenshot({ path: artifactPath('vnc-typed.png') });
    await page.click('#keys');
    await page.getByLabel('Function keys').locator('select').selectOption({ label: 'Ctrl-Alt-F1 to F12' });
    await page.getByRole('button', { name: 'Ctrl-Alt-F7', exact: true }).click();
    await awaitPicture(page, (picture) => ['plain', 'large'].some((size) => showsText(picture, 'Ctrl-Alt-F7', size as LetterSize)));
    await page.getByRole('button', { name: 'Super', exact: true }).click();
    await page.keyboard.press('r');
    await awaitPicture(page, (picture) => ['plain', 'large'].some((size) => showsText(picture, 'Super-r', size as LetterSize)));
    await page.screenshot({ path: artifactPath('vnc-keys.png') });
  });

  it('takes a text on its serial line as it stands', async () => {
    await page.goto(standalone.printedUrls('serial')[1] ?? '');
    await page.click('#type-text:enabled');
    await page.check('#type-enter');
    await page.fill('#type-what', `echo '${SYMBOLS}'\necho second`);
    await page.click('#type-go');
    await awaitTerminal(page, /^second$/m);
    assert.ok((await terminalText(page)).includes(`\n${SYMBOLS}\n`), await terminalText(page));
  });

  it('answers a command on the serial line, and refuses a second client with words', async () => {
    const [url] = standalone.printedUrls('serial');
    await page.goto(url ?? assert.fail('no serial URL'));
    await awaitWords(page, /connected/i);
    await page.locator('.xterm').click();
    await page.keyboard.type('echo typed in a browser\n', { delay: 10 });
    await awaitTerminal(page, /^typed in a browser\s*$/m);
    await page.screenshot({ path: artifactPath('serial-simulated.png') });

    const second = await browser.newPage();
    await second.goto(url ?? '');
    await awaitWords(second, /in use since/i);
    await second.screenshot({ path: artifactPath('serial-in-use.png') });
    await second.close();
  });

  it('keeps the console through a reload of its page', async () => {
    const [url] = standalone.printedUrls('vnc');
    await page.goto(url ?? '');
    await awaitWords(page, /connected/i);
    await page.reload();
    await awaitWords(page, /connected/i);
  });

  it('says what to do on the front page and when a link has no token', async () => {
    const base = new URL(standalone.printedUrls('vnc')[0] ?? '').origin;
    await page.goto(`${base}/`);
    await awaitWords(page, /console/i);
    await page.screenshot({ path: artifactPath('front-page.png') });
    await page.goto(`${base}/vnc`);
    await awaitWords(page, /link|token/i);
    await page.screenshot({ path: artifactPath('vnc-without-token.png') });
  });

  it('refuses an unknown token with words', async () => {
    const base = new URL(standalone.printedUrls('vnc')[0] ?? '').origin;
    await page.goto(`${base}/vnc#token=${'x'.repeat(43)}`);
    await awaitWords(page, /unknown or has expired/i);
    await page.screenshot({ path: artifactPath('vnc-unknown-token.png') });
  });

  it('refuses a link to a screen on the page for serial consoles, with words', async () => {
    const url = standalone.printedUrls('vnc')[0] ?? '';
    await page.goto(url.replace('/vnc#', '/serial#'));
    await awaitWords(page, /opens a screen, which this page cannot show/i);
  });

  it("ends the session on the user's screen when the machine is deleted, and says why", async () => {
    const id = await compute.createServer('short-lived');
    await compute.awaitActive(id);
    await page.goto(await compute.consoleUrl(id, 'vnc'));
    await awaitPicture(page, (picture) => showsText(picture, id));
    await compute.request('DELETE', `/servers/${id}`);
    await awaitWords(page, /instance was deleted/i);
    await page.screenshot({ path: artifactPath('vnc-instance-deleted.png') });
  });

  it('printed the URLs and logged none of their tokens', () => {
    const urls = [...standalone.printedUrls('vnc'), ...standalone.printedUrls('serial')];
    assert.equal(urls.length, 4);
    for (const url of urls) {
      const token = url.split('#token=')[1] ?? assert.fail(url);
      assert.equal(standalone.output.split(token).length, 2, 'a token stands elsewhere than in its printed URL');
    }
  });

  it('never made the browser complain: no script error, no refused resource', () => {
    assert.deepEqual(complaints, []);
  });
});

describe('a console URL past its time, in Chromium', function () {
  this.timeout(120_000);

  it('is refused with words', async () => {
    const standalone = await StandaloneProcess.start({ GATEHOUSE_CONSOLE_TOKEN_TTL: '1' });
    const browser = await launchChromium();
    try {
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      const page = await browser.newPage();
      await page.goto(standalone.printedUrls('vnc')[0] ?? assert.fail(standalone.output));
      await awaitWords(page, /unknown or has expired/i);
      await page.screenshot({ path: artifactPath('vnc-expired.png') });
    } finally {
      await browser.close();
      await standalone.stop();
    }
  });
});

type Picture = Awaited<ReturnType<typeof canvasPicture>>;

async function awaitPicture(page: Page, test: (picture: Picture) => boolean, timeoutMs = 15_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!test(await canvasPicture(page))) {
    if (Date.now() > deadline) {
      await page.screenshot({ path: artifactPath('picture-not-seen.png') });
      assert.fail('the picture was not seen in time; see artifacts/picture-not-seen.png');
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function awaitTerminal(page: Page, pattern: RegExp, timeoutMs = 15_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!pattern.test(await terminalText(page))) {
    assert.ok(Date.now() < deadline, `no ${pattern} in ${await terminalText(page)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
