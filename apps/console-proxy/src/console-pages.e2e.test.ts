/** The pages in a real browser, against guests of our own; every state leaves a screenshot to be looked at. */
import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { ServiceError } from '@gatehouse/errors/service-error';
import { LOOKS, sessionOf, shoot, stateIs, TestPages, titleIs, type Look } from './test-pages.ts';
import { until } from './test-proxy.ts';

describe('the console pages in a browser', function () {
  this.timeout(60_000);
  let pages: TestPages;

  before(async () => {
    pages = await TestPages.start();
  });
  after(() => pages.close());
  beforeEach(async () => {
    await pages.setUp();
    await pages.startProxy();
  });
  afterEach(() => pages.tearDown());

  /** The colours of a canvas along its middle line. */
  const middleLine = (page: Page): Promise<string[]> =>
    page.evaluate(() => {
      const canvas = document.querySelector('canvas');
      const drawing = canvas?.getContext('2d');
      if (!canvas || !drawing) return [];
      const y = Math.floor(canvas.height / 2);
      return Array.from({ length: 64 }, (_, i) => drawing.getImageData(Math.floor((i * canvas.width) / 64), y, 1, 1).data.slice(0, 3).join(','));
    });

  /** Resolves with the line when it shows the guest's colours, and not `before`. */
  async function pictureOf(page: Page, before: readonly string[] = []): Promise<string[]> {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const line = await middleLine(page);
      if (new Set(line).size >= 6 && line.join() !== before.join()) return line;
      assert.ok(Date.now() < deadline, `colours: ${[...new Set(line)].join(' ')}`);
      await page.waitForTimeout(50);
    }
  }

  for (const look of Object.keys(LOOKS) as Look[]) {
    it(`show a screen (${look}): its pixels, and that a key reaches the guest`, async () => {
      const { page, complaints } = await pages.visit('/vnc#token=screen', look);
      await stateIs(page, 'Connected');
      const before = await pictureOf(page);
      await page.keyboard.press('a');
      await pictureOf(page, before);
      assert.equal(await page.title(), 'demo-1 · Screen');
      assert.equal(new URL(page.url()).hash, '');
      await shoot(page, `vnc-${look}`);
      assert.deepEqual(complaints, []);
    });

    it(`show a serial line (${look}): what it says, and its answer to a typed line`, async () => {
      const { page, complaints } = await pages.visit('/serial#token=line', look);
      await stateIs(page, 'Connected');
      await page.keyboard.type('uname\n');
      await page.waitForFunction(() => document.querySelector('.xterm-rows')?.textContent?.includes('answered'));
      await shoot(page, `serial-${look}`);
      assert.equal(await page.title(), 'demo-1 · Serial console');
      assert.deepEqual(complaints, []);
    });

    it(`say what this is (${look}), what is not there, and why a link no longer works`, async () => {
      const { page, complaints } = await pages.visit('/', look);
      await shoot(page, `index-${look}`);
      assert.equal(complaints.length, 0, complaints.join());
      await page.goto(`${pages.relay.url}/no/such/page`);
      await shoot(page, `not-found-${look}`);
      await page.getByText('What is this?').click();
      await page.waitForURL(`${pages.relay.url}/`);
      assert.deepEqual(complaints.splice(0).map((each) => each.replace(/ http.*/, '')), ['error: Failed to load resource: the server responded with a status of 404 (Not Found)']);

      await page.goto(`${pages.relay.url}/vnc#token=expired&title=demo-1`);
      await stateIs(page, 'Closed');
      assert.equal(await page.textContent('#message-title'), 'This link no longer works');
      assert.equal(await page.textContent('#name'), 'demo-1');
      await shoot(page, `expired-${look}`);
      assert.deepEqual(complaints, []);
    });
  }

  it('say that a link is needed when there is none', async () => {
    const { page, complaints } = await pages.visit('/serial');
    await stateIs(page, 'Closed');
    assert.equal(await page.textContent('#message-title'), 'A console link is needed');
    await shoot(page, 'no-link');
    assert.deepEqual(complaints, []);
  });

  it('say that somebody else uses a serial port, and open it when they have left', async () => {
    const { auth } = pages.proxies;
    const first = await pages.visit('/serial#token=line');
    await stateIs(first.page, 'Connected');
    const second = await pages.visit('/serial#token=line');
    await stateIs(second.page, 'Closed');
    assert.equal(await second.page.textContent('#message-title'), 'Somebody is using this console');
    assert.match((await second.page.textContent('#message-reason')) ?? '', /in use since/);
    await shoot(second.page, 'in-use');
    await pages.proxies.endSessions('proxy-1', { [(await sessionOf(first.page))!]: 'ended_by_user' });
    await until(() => auth.released.length === 1, 'the release');
    await second.page.click('#reconnect');
    await stateIs(second.page, 'Connected');
    assert.deepEqual(second.complaints, []);
  });

  it('say what ended a session: deletion, a refusing host, a restart announced first', async () => {
    const { auth } = pages.proxies;
    const deleted = await pages.visit('/vnc#token=screen');
    await stateIs(deleted.page, 'Connected');
    auth.toEnd.set([...auth.open.keys()][0]!, 'instance_deleted');
    await stateIs(deleted.page, 'Closed');
    await shoot(deleted.page, 'deleted');
    assert.equal(await deleted.page.textContent('#message-title'), 'The machine was deleted');

    auth.refusals.set('away', new ServiceError('UNAVAILABLE', 'The host of this console does not answer.'));
    const away = await pages.visit('/vnc#token=away');
    await stateIs(away.page, 'Closed');
    await shoot(away.page, 'host-away');

    await pages.startProxy({ proxyDrain: 1 }, 'proxy-2');
    const warned = await pages.visit('/serial#token=line');
    await stateIs(warned.page, 'Connected');
    await warned.page.keyboard.type('still typing');
    const drained = pages.proxies.drain('proxy-2');
    await warned.page.waitForSelector('#notice:not([hidden])');
    await shoot(warned.page, 'draining');
    const session = await sessionOf(warned.page);
    await drained;
    await stateIs(warned.page, 'Reconnecting…');
    await shoot(warned.page, 'drained');
    pages.leadTo('proxy-1');
    await stateIs(warned.page, 'Connected');
    assert.equal(await sessionOf(warned.page), session);
  });

  it('say that the server cannot be reached, and open the console when it is back', async () => {
    const { auth } = pages.proxies;
    auth.refusals.set('line', new ServiceError('UNAVAILABLE', 'The host of this console does not answer.'));
    const { page } = await pages.visit('/serial#token=line');
    await stateIs(page, 'Closed');
    pages.relay.cut();
    await page.click('#reconnect');
    await titleIs(page, 'The server cannot be reached');
    await shoot(page, 'unreachable');
    auth.refusals.clear();
    pages.relay.mend();
    await page.click('#reconnect');
    await stateIs(page, 'Connected');
  });

  it('say what a screen that refuses the console says', async () => {
    const refusing = await pages.startGuest((socket) => {
      socket.write('RFB 003.008\n');
      const words = 'Too many authentication failures';
      socket.once('data', () => socket.write(Buffer.concat([Buffer.from([0, 0, 0, 0, words.length]), Buffer.from(words)])));
    });
    pages.proxies.auth.consoles.set('refusing', { instanceName: 'demo-2', consoleType: 'novnc', port: refusing.port });
    const { page } = await pages.visit('/vnc#token=refusing');
    await stateIs(page, 'Closed');
    assert.match((await page.textContent('#card')) ?? '', /Too many authentication failures/);
    await shoot(page, 'screen-refuses');
  });

  it('say what a screen says that refuses them behind an agent, where nobody has spoken with it before', async () => {
    const refusals = [
      ['light', Buffer.from([0, 0, 0, 0, 13]), /The screen of this machine refused the console: No more seats\./],
      ['dark', Buffer.from([1, 2]), /The screen of this machine asks for a password that the console proxy was not given\./],
    ] as const;
    for (const [look, refusal, words] of refusals) {
      const context = await pages.newContext(LOOKS[look]);
      await context.routeWebSocket(/websockify/, (socket) => {
        const answers = [refusal.length > 2 ? Buffer.concat([refusal, Buffer.from('No more seats')]) : refusal, Buffer.alloc(16)];
        socket.onMessage(() => void (answers.length > 0 && socket.send(answers.shift()!)));
        socket.send(JSON.stringify({ type: 'session', id: 'a-session', instance: { name: 'demo-2' }, access: 'full', resume: null }));
        socket.send(Buffer.from('RFB 003.008\n'));
      });
      const { page } = await pages.visit('/vnc#token=screen', look, context);
      await stateIs(page, 'Closed');
      assert.match((await page.textContent('#message-reason')) ?? '', words);
      await shoot(page, `screen-refuses-${look}`);
    }
  });

  it('take the token out of the address, keep it for a reload of this tab only, and tell it to nobody', async () => {
    const { consoles } = pages.proxies.auth;
    consoles.set('a-secret', consoles.get('screen')!);
    const context = await pages.newContext();
    const asked: string[] = [];
    context.on('request', (request) => asked.push(`${request.url()} ${JSON.stringify(request.headers())}`));
    const { page } = await pages.visit('/vnc_auto.html?path=%3Ftoken%3Da-secret&title=demo-1', 'light', context);
    await stateIs(page, 'Connected');
    assert.equal(page.url(), `${pages.relay.url}/vnc_auto.html`);
    await page.reload();
    await stateIs(page, 'Connected');
    const other = await context.newPage();
    await other.goto(`${pages.relay.url}/vnc_auto.html`);
    await stateIs(other, 'Closed');
    const [first, ...rest] = asked;
    assert.match(first ?? '', /token%3Da-secret/);
    assert.ok(rest.length > 20);
    assert.deepEqual(rest.filter((each) => /a-secret|"referer":"[^"]/.test(each)), []);
  });

  it('load themselves again when a proxy of another version refuses them their files, and do nothing by halves meanwhile', async () => {
    const context = await pages.newContext();
    let upgraded = false;
    let sockets = 0;
    await context.route(/\/assets\/.*(rfb\.js|style\.css)$/, (route) => (upgraded ? route.continue() : route.fulfill({ status: 404, body: 'No such page' })));
    const page = await context.newPage();
    page.on('websocket', () => (sockets += 1));
    await page.goto(`${pages.relay.url}/vnc#token=screen`);
    await stateIs(page, 'The server is being upgraded. Loading the page again…');
    await shoot(page, 'upgrading');
    assert.equal(sockets, 0);
    upgraded = true;
    await stateIs(page, 'Connected');
    assert.equal(await page.evaluate(() => sessionStorage.getItem('gatehouse loading')), null);
  });

  it('scale the screen to the window, or not, and fill the display', async () => {
    const context = await pages.newContext({ viewport: { width: 500, height: 400 } });
    const { page } = await pages.visit('/vnc#token=screen', 'light', context);
    await stateIs(page, 'Connected');
    const width = (): Promise<number> => page.evaluate(() => document.querySelector('canvas')?.getBoundingClientRect().width ?? 0);
    await page.waitForFunction(() => (document.querySelector('canvas')?.getBoundingClientRect().width ?? 0) <= 500);
    await page.click('#menu');
    await page.click('#fit');
    await page.waitForFunction(() => document.querySelector('canvas')?.getBoundingClientRect().width === 640);
    await shoot(page, 'vnc-unscaled');
    await page.click('#full-screen');
    await page.waitForFunction(() => document.fullscreenElement === document.body && document.getElementById('full-screen')?.textContent === 'Leave full screen');
    assert.equal(await width(), 640);
  });
});
