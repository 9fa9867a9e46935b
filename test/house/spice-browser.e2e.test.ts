/** SPICE from a real QEMU to a real browser: our page, and the client that Nova serves. All links open once. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Browser, BrowserContext, Page, WebSocket } from 'playwright-core';
import { artifactPath } from '../servers/artifacts.ts';
import { launchChromium } from '../servers/chromium.ts';
import { serveFolder } from '../servers/folder-server.ts';
import { makeSmallLinux } from '../servers/small-linux.ts';
import { ComputeClient } from './compute-client.ts';
import { awaitWords, canvasPicture } from './console-page.ts';
import { coloursOf } from './screen-text.ts';
import { SessionsClient, type SessionView } from './sessions-client.ts';
import { StandaloneProcess } from './standalone-process.ts';

/** Of a machine without hardware's help. */
const ANSWER_MS_MAX = 15_000;
const BOOT_MS_MAX = 120_000;
/** Of a client without sound: main, display, inputs, cursor. */
const SOCKETS = 4;

describe('a screen by SPICE, in Chromium', function () {
  this.timeout(240_000);
  let folder: string;
  let standalone: StandaloneProcess;
  let compute: ComputeClient;
  let sessions: SessionsClient;
  let browser: Browser;
  let serverId: string;
  const contexts: BrowserContext[] = [];

  before(async () => {
    // Short: the path of a unix socket has at most 107 characters.
    folder = mkdtempSync('/tmp/gh-spice-');
    const linux = await makeSmallLinux(folder);
    standalone = await StandaloneProcess.start({
      GATEHOUSE_DRIVER: 'qemu', GATEHOUSE_QEMU_SPICE: 'unix', GATEHOUSE_STATE_DIR: join(folder, 'm'),
      GATEHOUSE_QEMU_KERNEL: linux.kernel, GATEHOUSE_QEMU_INITRD: linux.initrd, GATEHOUSE_QEMU_APPEND: linux.append,
      GATEHOUSE_CONSOLE_TOKEN_SINGLE_USE: 'true',
    });
    compute = new ComputeClient(standalone.apiUrl, 'demo:demo');
    sessions = new SessionsClient(standalone.apiUrl, 'demo:demo');
    const demos = await compute.listServers();
    for (const demo of demos.slice(1)) await compute.request('DELETE', `/servers/${demo.id}`);
    serverId = demos[0]?.id ?? assert.fail('no demo instance');
    browser = await launchChromium();
  });

  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
  });

  after(async () => {
    await browser?.close();
    // A machine outlives its agent, so the test ends it by name.
    for (const server of await (compute?.listServers() ?? [])) await compute.request('DELETE', `/servers/${server.id}`);
    await standalone?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  interface Tab {
    readonly page: Page;
    readonly sockets: WebSocket[];
    /** What a browser complains of: errors of scripts, and of the page's policy. */
    readonly complaints: string[];
  }

  async function open(url: string): Promise<Tab> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    contexts.push(context);
    const page = await context.newPage();
    const tab: Tab = { page, sockets: [], complaints: [] };
    page.on('websocket', (socket) => tab.sockets.push(socket));
    page.on('console', (message) => message.type() === 'error' && tab.complaints.push(message.text()));
    page.on('pageerror', (error) => tab.complaints.push(error.message));
    await page.goto(url);
    return tab;
  }

  async function takePictures(page: Page, state: string): Promise<void> {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: artifactPath(`spice-${state}-${colorScheme}.png`) });
    }
  }

  async function openScreen(): Promise<Tab> {
    const tab = await open(await compute.consoleUrl(serverId, 'spice'));
    await awaitWords(tab.page, /connected/i);
    await until(async () => coloursOf(await canvasPicture(tab.page)) > 1, 'a screen of more than one colour', BOOT_MS_MAX);
    return tab;
  }

  const spiceSessions = async (): Promise<readonly SessionView[]> => (await sessions.list('?state=open')).filter(({ console_type: type }) => type === 'spice-html5');

  async function printed(): Promise<string> {
    const { body } = await compute.request('POST', `/servers/${serverId}/action`, { 'os-getConsoleOutput': {} });
    return String(body['output'] ?? '');
  }

  /** An emulated machine that is starved of time loses keys, as a real one does: then it is typed again, as a person would. */
  async function typeUntilItArrives(page: Page, text: string, answer: string): Promise<void> {
    for (let attempt = 1; attempt <= 4 && !(await printed()).includes(answer); attempt += 1) {
      await page.locator('#type-text').click();
      await page.locator('#type-slow').check();
      await page.locator('#type-what').fill(text);
      await page.locator('#type-go').click();
      await page.locator('#type-progress').waitFor({ state: 'hidden' });
      await page.locator('#type-close').click();
      await page.locator('#spice-screen').click();
      await page.keyboard.press('Enter');
      await until(async () => (await printed()).includes(answer), 'what was typed arrives', ANSWER_MS_MAX).catch((error: unknown) => {
        if (attempt === 4) throw error;
      });
    }
  }

  it('shows the machine\'s boot and takes what is typed; its four sockets are one session', async () => {
    const { page, sockets, complaints } = await openScreen();
    await until(async () => /small-linux ready on ttyS0/.test(await printed()), 'the machine has booted', BOOT_MS_MAX);
    // By the panel, whose strokes hold Shift where a key needs it, and by the real keyboard.
    await typeUntilItArrives(page, 'echo typed-$((6*7)) > /dev/ttyS0', 'typed-42');
    await takePictures(page, 'connected');
    await until(async () => sockets.length === SOCKETS, 'four sockets');
    await until(async () => ((await spiceSessions())[0]?.bytes_out ?? 0) > 50_000, 'the picture is counted');
    assert.equal((await spiceSessions()).length, 1);

    // Back from a loaded page: the same session, on new sockets.
    const [before] = await spiceSessions();
    await page.reload();
    await awaitWords(page, /connected/i);
    await until(async () => coloursOf(await canvasPicture(page)) > 1, 'the screen is back');
    assert.deepEqual((await spiceSessions()).map(({ id }) => id), [before?.id]);
    await until(async () => sockets.length === 2 * SOCKETS, 'four sockets more');
    assert.deepEqual(complaints, []);
  });

  it('ends for who reads that another opened it, and with all its sockets when it is ended', async () => {
    const first = await openScreen();
    const second = await openScreen();
    await awaitWords(first.page, /opened this screen anew/);
    await takePictures(first.page, 'taken');
    await until(async () => first.sockets.every((socket) => socket.isClosed()), 'the first one\'s sockets are closed');
    await until(async () => (await spiceSessions()).length === 1, 'one session is left');
    const [session] = await spiceSessions();
    await sessions.request('DELETE', `/${session?.id}`);
    await awaitWords(second.page, /ended this session/);
    await until(async () => second.sockets.length === SOCKETS && second.sockets.every((socket) => socket.isClosed()), 'the second one\'s sockets are closed');
    await takePictures(second.page, 'ended');
    assert.deepEqual([...first.complaints, ...second.complaints], []);
  });

  it('is shown to who may only look, of whom the machine hears what that takes and no more', async () => {
    const body = { remote_console: { protocol: 'spice', type: 'spice-html5', access: 'view' } };
    // It takes the screen from nobody: also not from a page that was closed a moment ago and may come back.
    await until(async () => (await spiceSessions()).length === 0, 'nobody has the screen');
    const minted = await compute.request('POST', `/servers/${serverId}/remote-consoles`, body);
    const { page, complaints } = await open((minted.body['remote_console'] as { url: string }).url);
    await awaitWords(page, /view only/i);
    await until(async () => coloursOf(await canvasPicture(page)) > 1, 'a screen of more than one colour');
    await takePictures(page, 'view-only');
    assert.deepEqual(complaints, []);
  });

  it('is shown by the client that Nova serves, on all of whose sockets is one token', async () => {
    const files = await serveFolder('/usr/share/spice-html5');
    try {
      const { hostname, port, hash } = new URL(await compute.consoleUrl(serverId, 'spice'));
      const token = new URLSearchParams(hash.slice(1)).get('token');
      const { page, sockets } = await open(`${files.url}/spice_auto.html?host=${hostname}&port=${port}&token=${token}`);
      await until(async () => coloursOf(await canvasPicture(page)) > 1, 'a screen of more than one colour');
      await until(async () => sockets.length === SOCKETS, 'four sockets');
      // The one of the page before waits a few seconds for it to come back.
      await until(async () => (await spiceSessions()).length === 1, 'one session');
      await page.screenshot({ path: artifactPath('spice-stock.png') });
    } finally {
      files.close();
    }
  });

  async function until(condition: () => Promise<boolean>, what: string, timeoutMs = 30_000): Promise<void> {
    for (const deadline = Date.now() + timeoutMs; !(await condition()); await pause(150)) {
      assert.ok(Date.now() < deadline, `waited ${timeoutMs} ms in vain: ${what}`);
    }
  }
});
