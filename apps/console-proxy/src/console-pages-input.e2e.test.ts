/** Typing in a real browser: what the panels, the phone's keyboard and a keyboard alone send to guests of our own. */
import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { LOOKS, shoot, stateIs, TestPages, titleIs, sessionOf, type Look } from './test-pages.ts';
import { until } from './test-proxy.ts';

const SYMBOLS = 'P@ss w0rd!"$%^&*(){}|:<>?~';
const [SHIFT, CTRL, ALT, ENTER] = [0xffe1, 0xffe3, 0xffe9, 0xff0d];

describe('typing on the console pages in a browser', function () {
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

  /** A console that takes keys. */
  async function open(path: string, look: Look = 'light'): Promise<Page> {
    const { page } = await pages.visit(path, look);
    await stateIs(page, 'Connected');
    await page.waitForFunction(() => !(document.getElementById('keys') as HTMLButtonElement).disabled);
    return page;
  }

  /** What a guest that goes by keysyms has on its screen. */
  const shown = (): string => pages.keys.filter((key) => key > 0 && key < 0xff00).map((key) => String.fromCharCode(key)).join('');
  const nothingDown = (): boolean => pages.keys.reduce((sum, key) => sum + key, 0) === 0;
  /** Resolves when the keys go to the element of this id, or of this tag where it has none. */
  async function isFocused(page: Page, wanted: string): Promise<void> {
    await page.waitForFunction((name) => (document.activeElement?.id || document.activeElement?.tagName) === name, wanted);
  }
  async function isPressed(page: Page, selector: string): Promise<void> {
    await page.waitForSelector(`${selector}[aria-pressed="true"]`, { state: 'attached' });
  }
  const button = (page: Page, name: string): ReturnType<Page['locator']> => page.locator('#key-panel').getByRole('button', { name, exact: true });

  async function typeText(page: Page, text: string, ...choices: string[]): Promise<void> {
    await page.click('#type-text');
    await page.fill('#type-what', text);
    for (const choice of choices) await page.check(`#${choice}`);
    await page.click('#type-go');
  }

  it('type nothing of a text that has a character without a key, and name it', async () => {
    const page = await open('/vnc#token=screen');
    await page.click('#type-text');
    await page.fill('#type-what', 'pässword “x”\u0007');
    assert.match((await page.textContent('#type-note')) ?? '', /^The US keyboard does not have these characters: ä \(U\+00E4\), “ \(U\+201C\), ” \(U\+201D\), U\+0007\. Nothing is typed/);
    assert.ok(await page.isDisabled('#type-go'));
    await shoot(page, 'type-refused');
    await page.keyboard.press('Control+Enter');
    assert.deepEqual(pages.keys, []);
    await page.selectOption('#type-layout', 'de');
    await page.fill('#type-what', 'pässword');
    assert.ok(await page.isEnabled('#type-go'));
    await page.selectOption('#type-layout', 'us');
  });

  for (const look of Object.keys(LOOKS) as Look[]) {
    it(`type a password of every kind of character into a screen and keep nothing of it, and press what a browser keeps to itself (${look})`, async () => {
      const page = await open('/vnc#token=screen', look);
      const openMenu = async (): Promise<void> => void (look.startsWith('phone') && (await page.click('#menu')));
      await openMenu();
      if (look.startsWith('phone')) await shoot(page, `menu-${look}`);
      await page.click('#type-text');
      await page.check('#type-hidden');
      await page.fill('#type-what', SYMBOLS);
      await shoot(page, `type-hidden-${look}`);
      await page.click('#type-go');
      await page.waitForSelector('#type-progress:not([hidden])');
      await shoot(page, `typing-${look}`);
      assert.equal(await page.evaluate(() => document.documentElement.outerHTML.includes('w0rd') || (document.getElementById('type-what') as HTMLTextAreaElement).value), '');
      await page.waitForFunction(() => document.getElementById('type-note')?.textContent === 'Typed 26 characters.');
      await until(() => shown().length >= SYMBOLS.length && nothingDown(), 'the last key let go');
      assert.equal(shown(), SYMBOLS);
      // Shift goes down before what it shifts.
      assert.deepEqual(pages.keys.slice(0, 6), [SHIFT, 0x50, -0x50, -SHIFT, SHIFT, 0x40]);
      await isFocused(page, 'CANVAS');

      pages.keys.length = 0;
      await openMenu();
      await page.click('#keys');
      await shoot(page, `keys-${look}`);
      await button(page, 'Ctrl-Alt-Del').click();
      await page.getByLabel('Function keys').locator('select').selectOption({ label: 'Ctrl-Alt-F1 to F12' });
      await button(page, 'Ctrl-Alt-F2').click();
      await page.getByLabel('SysRq').locator('select').selectOption({ label: 'Alt-SysRq-s: sync disks' });
      await button(page, 'Send').click();
      await until(() => pages.keys.length === 18, 'three keys together, three times');
      assert.deepEqual(pages.keys, [
        ...[CTRL, ALT, 0xffff, -0xffff, -ALT, -CTRL],
        ...[CTRL, ALT, 0xffbf, -0xffbf, -ALT, -CTRL],
        ...[ALT, 0xff15, 0x73, -0x73, -0xff15, -ALT],
      ]);
    });
  }

  it('type lines, with Enter between them and, when asked to, at the end; and stop when told to', async () => {
    const page = await open('/vnc#token=screen');
    await typeText(page, 'ls\nid\n');
    await until(() => pages.keys.at(-1) === -0x64, 'the last letter');
    assert.equal(pages.keys.filter((key) => key === ENTER).length, 1);
    await page.waitForSelector('#type-form:not([hidden])');
    await page.check('#type-enter');
    await page.fill('#type-what', 'a\nb');
    assert.equal(await page.textContent('#type-note'), 'The text has line breaks: Enter is pressed 2 times.');
    await page.click('#type-go');
    await until(() => pages.keys.filter((key) => key === ENTER).length === 3, 'Enter twice more');
    await page.waitForSelector('#type-form:not([hidden])');
    await page.check('#type-slow');
    await page.fill('#type-what', 'x'.repeat(200));
    await page.click('#type-go');
    await until(() => shown().endsWith('xx'), 'the first letters');
    await page.click('#type-cancel');
    await page.waitForFunction(() => /^Stopped: \d+ of 201 characters were typed\.$/.test(document.getElementById('type-note')?.textContent ?? ''));
    const typed = Number(/\d+/.exec((await page.textContent('#type-note')) ?? '')?.[0]);
    const letters = (): number => shown().split('x').length - 1;
    await until(() => letters() === typed && nothingDown(), `${typed} letters and no more`);
    assert.ok(typed < 200, shown());
  });

  it('stop typing when the console ends', async () => {
    const page = await open('/vnc#token=screen');
    await typeText(page, 'x'.repeat(200), 'type-slow');
    await until(() => shown().includes('x'), 'the first letter');
    await pages.proxies.endSessions('proxy-1', { [(await sessionOf(page))!]: 'ended_by_operator' });
    await titleIs(page, 'This session was ended');
    assert.equal(await page.isVisible('#type-panel'), false);
    assert.ok(await page.isDisabled('#type-text'));
  });

  it('read the clipboard where the browser lets them, and say so where it does not', async () => {
    const context = await pages.newContext();
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: pages.relay.url });
    const { page } = await pages.visit('/vnc#token=screen', 'light', context);
    await page.waitForSelector('#type-text:enabled');
    await page.evaluate(() => navigator.clipboard.writeText('copied <there>'));
    await page.click('#type-text');
    await page.click('#type-clipboard');
    await page.waitForFunction(() => (document.getElementById('type-what') as HTMLTextAreaElement).value === 'copied <there>');
    await context.clearPermissions();
    await page.evaluate(() => (navigator.clipboard.readText = () => Promise.reject(new DOMException('no', 'NotAllowedError'))));
    await page.click('#type-clipboard');
    await page.waitForFunction(() => /does not let this page read the clipboard/.test(document.getElementById('type-note')?.textContent ?? ''));
  });

  it('send a text over a serial line, its lines ended as a terminal ends them', async () => {
    const page = await open('/serial#token=line');
    await typeText(page, `echo '${SYMBOLS}ä€'\n\tls`, 'type-enter');
    await until(() => pages.typed.endsWith('ls\r'), 'the last line');
    assert.equal(pages.typed, `echo '${SYMBOLS}ä€'\r\tls\r`);
    await shoot(page, 'typed-serial');
  });

  it('hold a modifier for the next key of a real keyboard, lock it, and let it go with the console', async () => {
    const page = await open('/vnc#token=screen');
    await page.click('#keys');
    await button(page, 'Ctrl').click();
    await button(page, 'Ctrl').and(page.locator('[aria-pressed="true"]')).waitFor();
    await isFocused(page, 'CANVAS');
    await page.keyboard.press('w');
    await until(() => pages.keys.length === 4, 'Ctrl-W');
    assert.deepEqual(pages.keys, [CTRL, 0x77, -0x77, -CTRL]);
    await button(page, 'Ctrl').and(page.locator('[aria-pressed="false"]')).waitFor();
    await button(page, 'Alt').click();
    await button(page, 'Alt').click();
    await button(page, 'Alt, locked').and(page.locator('[aria-pressed="true"]')).waitFor();
    await shoot(page, 'modifier-locked');
    await button(page, 'Tab').click();
    await button(page, 'Tab').click();
    await page.evaluate(() => dispatchEvent(new Event('blur')));
    await until(() => pages.keys.length === 10, 'Alt-Tab twice');
    assert.deepEqual(pages.keys.slice(4), [ALT, 0xff09, -0xff09, 0xff09, -0xff09, -ALT]);
  });

  for (const look of ['dark', 'phone'] as const) {
    it(`send the keys of a terminal, and make control characters of what is typed (${look})`, async () => {
      const page = await open('/serial#token=line', look);
      if (look === 'phone') await page.click('#menu');
      await page.click('#keys');
      await shoot(page, `keys-serial-${look}`);
      for (const name of ['Ctrl-C', 'Ctrl-]', 'Ctrl-\\', 'Esc', 'Up', 'Ctrl']) await button(page, name).click();
      await page.keyboard.press('x');
      await page.keyboard.press('y');
      await until(() => pages.typed.endsWith('y'), 'the last key');
      assert.equal(pages.typed, '\x03\x1d\x1c\x1b\x1b[A\x18y');
    });
  }

  it("open a phone's keyboard, and type what becomes of its field", async () => {
    const page = await open('/vnc#token=screen', 'phone');
    await page.tap('#menu');
    await page.tap('#keyboard');
    await isFocused(page, 'phone-keyboard');
    // As a phone types: text is put into the field, completed, corrected and taken back.
    await page.keyboard.insertText('Hej');
    await page.keyboard.insertText('!');
    await page.keyboard.press('Backspace');
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowUp');
    await until(() => pages.keys.at(-1) === -0xff52, 'the last key');
    assert.deepEqual(pages.keys.filter((key) => key > 0 && key !== SHIFT), [0x48, 0x65, 0x6a, 0x21, 0xff08, ENTER, 0xff52]);
    // A key of the panel leaves it open.
    await page.tap('#menu');
    await page.tap('#keys');
    await button(page, 'Esc').tap();
    await until(() => pages.keys.includes(-0xff1b), 'Esc');
    await isFocused(page, 'phone-keyboard');
  });

  it('move the picture under a finger where it is larger than the window, and the pointer where not asked to', async () => {
    const page = await open('/vnc#token=screen', 'phone');
    const touches = await page.context().newCDPSession(page);
    const middleLine = (): Promise<string> => page.evaluate(() => {
      const canvas = document.querySelector('canvas')!;
      return canvas.getContext('2d')!.getImageData(0, canvas.height >> 1, canvas.width, 1).data.join();
    });
    const lineIs = async (isIt: (line: string) => boolean, what: string): Promise<void> => {
      for (const lastMs = Date.now() + 20_000; !isIt(await middleLine()); await page.waitForTimeout(20)) assert.ok(Date.now() < lastMs, `waited in vain for ${what}`);
    };
    const drag = async (from: number, to: number): Promise<void> => {
      for (let step = 0; step <= 10; step++) {
        const touchPoints = [{ x: from + ((to - from) * step) / 10, y: 600 }];
        await touches.send('Input.dispatchTouchEvent', { type: step === 0 ? 'touchStart' : 'touchMove', touchPoints });
      }
      await touches.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    };
    await page.tap('#menu');
    await page.tap('#fit');
    await page.waitForFunction(() => document.querySelector('canvas')?.width === 360);
    // The guest's white square is in this part of its picture: that has come.
    await lineIs((line) => line.includes('255,255,255,255'), 'the picture');
    const left = await middleLine();
    await drag(300, 50);
    assert.equal(await middleLine(), left);
    await page.tap('#pan');
    await isPressed(page, '#pan');
    await drag(300, 50);
    await lineIs((line) => line !== left, 'the part that was hidden');
    await shoot(page, 'vnc-own-size-phone');
    await drag(50, 350);
    await lineIs((line) => line === left, 'the part that was there first');
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360));
  });

  it('stay in what can be seen where a phone lays its keyboard over the page', async () => {
    const page = await open('/vnc#token=screen', 'phone-light');
    // As iOS does: the window is as high as before, less of it is seen.
    const seen = (height: number | null): Promise<number> => page.evaluate((of) => {
      if (of === null) delete (visualViewport as { height?: number }).height;
      else Object.defineProperty(visualViewport, 'height', { value: of, configurable: true });
      visualViewport!.dispatchEvent(new Event('resize'));
      return document.getElementById('stage')!.getBoundingClientRect().bottom;
    }, height);
    await page.tap('#menu');
    await page.tap('#type-text');
    await page.waitForSelector('#type-panel:not([hidden])');
    assert.equal(await seen(400), 400);
    assert.ok(await page.evaluate(() => document.getElementById('stage')!.clientHeight > 120));
    assert.ok(await page.evaluate(() => document.getElementById('type-go')!.getBoundingClientRect().bottom <= document.getElementById('stage')!.getBoundingClientRect().top), 'Type is at hand');
    assert.equal(await page.evaluate(() => getComputedStyle(document.getElementById('type-what')!).fontSize), '16px');
    await shoot(page, 'covered-by-keyboard');
    assert.equal(await seen(null), 740);
  });

  it('can be used, left and entered again by keyboard alone', async () => {
    for (const path of ['/vnc#token=screen', '/serial#token=line']) {
      const page = await open(path);
      const inConsole = (): Promise<boolean> => page.evaluate(() => document.getElementById('console')?.contains(document.activeElement) === true);
      const backInConsole = (): Promise<unknown> => page.waitForFunction(() => document.getElementById('console')?.contains(document.activeElement));
      const chord = async (): Promise<void> => {
        for (const key of ['Control', 'Alt', 'Shift']) await page.keyboard.down(key);
        for (const key of ['Control', 'Alt', 'Shift']) await page.keyboard.up(key);
        await page.waitForFunction(() => document.activeElement?.id === 'type-text');
      };
      await backInConsole();
      await page.keyboard.press('Tab');
      assert.ok(await inConsole(), 'Tab is the machine\'s');
      // With another key it is the machine's, too.
      await page.keyboard.press('Control+Alt+Shift+F5');
      assert.ok(await inConsole());
      await chord();
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.waitForSelector('#key-panel', { state: 'visible' });
      await shoot(page, `keyboard-alone-${path.slice(1, 4)}`);
      await page.keyboard.press('Escape');
      await backInConsole();
      await chord();
      const described = await page.evaluate(() => {
        const console = document.querySelector('#console [aria-describedby]');
        return document.getElementById(console?.getAttribute('aria-describedby') ?? '')?.textContent;
      });
      assert.equal(described, 'Every key goes to the machine. Ctrl, Alt and Shift together lead back to the bar.');
      await page.close();
    }
    await until(nothingDown, 'every key let go');
  });

  it('fill the display and get every key there, with the bar at hand', async () => {
    const page = await open('/vnc#token=screen', 'dark');
    await page.evaluate(() => {
      const keyboard = (navigator as unknown as { keyboard: { lock(): Promise<void> } }).keyboard;
      const lock = keyboard.lock.bind(keyboard);
      keyboard.lock = () => lock().then(() => void (document.body.dataset['locked'] = 'yes'));
    });
    await page.click('#full-screen');
    await page.waitForFunction(() => document.fullscreenElement === document.body && document.body.dataset['locked'] === 'yes');
    // The page hears of it a moment after the document has it.
    await page.waitForFunction(() => document.querySelector('#hint')?.textContent === 'Every key goes to the machine. Hold Esc to leave full screen.');
    await page.waitForSelector('#bar', { state: 'hidden' });
    await shoot(page, 'full-screen');
    await page.click('#show-bar');
    await page.waitForSelector('#bar', { state: 'visible' });
    await shoot(page, 'full-screen-bar');
    await page.click('#full-screen');
    await page.waitForFunction(() => document.fullscreenElement === null && document.getElementById('full-screen')?.textContent === 'Full screen');
  });

  it('give away the session id to be copied, while it runs and when it has ended', async () => {
    const context = await pages.newContext();
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: pages.relay.url });
    const { page } = await pages.visit('/serial#token=line', 'light', context);
    await stateIs(page, 'Connected');
    const session = (await sessionOf(page))!;
    await page.click('#copy-session');
    await page.waitForFunction(() => document.getElementById('copy-session')?.textContent === 'Copied');
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), session);
    await pages.proxies.endSessions('proxy-1', { [session]: 'ended_by_operator' });
    await titleIs(page, 'This session was ended');
    await page.click('#copy-report');
    await page.waitForFunction(() => document.getElementById('copy-report')?.textContent === 'Copied');
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `Code 4022 · session ${session}`);
  });

  for (const [path, token, look] of [['/vnc', 'screen', 'dark'], ['/serial', 'line', 'phone-light']] as const) {
    it(`say that a console is to be watched only, and take no key for it (${path})`, async () => {
      const { consoles } = pages.proxies.auth;
      consoles.set(token, { ...consoles.get(token)!, access: 'view' });
      const { page, complaints } = await pages.visit(`${path}#token=${token}`, look);
      await stateIs(page, 'Connected');
      assert.equal(await page.textContent('#view-only'), 'View only');
      assert.ok(await page.isVisible('#view-only'));
      await page.keyboard.type('abc');
      if (look === 'phone-light') await page.click('#menu');
      for (const id of ['type-text', 'keys', 'ctrl-alt-del', 'keyboard']) assert.ok(await page.isDisabled(`#${id}`), id);
      await shoot(page, `view-only-${path.slice(1)}`);
      await page.waitForTimeout(100);
      assert.deepEqual([pages.keys, pages.typed], [[], '']);
      assert.deepEqual(complaints, []);
    });
  }
});
