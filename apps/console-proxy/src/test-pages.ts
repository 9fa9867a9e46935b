/**
 * The pages in Chromium, for tests: guests, proxies behind a network that can be cut, and tabs that tell what the browser complains
 * about. The network's address stays, so that a browser loads the pages' files once in a whole file of tests.
 */
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { artifactPath } from '../../../test/servers/artifacts.ts';
import { launchChromium } from '../../../test/servers/chromium.ts';
import { TcpRelay } from '../../../test/servers/tcp-relay.ts';
import type { ConsoleProxyConfig } from './config.ts';
import { rfbScreen, serialPrompt, startGuest, type TestGuest } from './test-guests.ts';
import { TestProxies } from './test-proxy.ts';

const DESKTOP = { width: 1100, height: 720 };

export const LOOKS = {
  light: { viewport: DESKTOP, colorScheme: 'light' },
  dark: { viewport: DESKTOP, colorScheme: 'dark' },
  phone: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: 'dark' },
  'phone-light': { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: 'light' },
} as const satisfies Record<string, BrowserContextOptions>;
export type Look = keyof typeof LOOKS;

/** A tab, and everything that its browser had to say of the page. */
export interface Tab {
  readonly page: Page;
  readonly complaints: string[];
}

export class TestPages {
  readonly browser: Browser;
  readonly relay: TcpRelay;
  proxies = new TestProxies();
  /** The keys that the screen's guest was sent: keysyms, negative when let go. */
  readonly keys: number[] = [];
  /** What the serial line's guest was sent. */
  typed = '';
  readonly #guests: TestGuest[] = [];
  readonly #contexts = new Map<Look, BrowserContext>();
  readonly #ownContexts: BrowserContext[] = [];

  private constructor(browser: Browser, relay: TcpRelay) {
    this.browser = browser;
    this.relay = relay;
  }

  static async start(): Promise<TestPages> {
    return new TestPages(await launchChromium(), await TcpRelay.to(0));
  }

  /** Guests `screen` and `line` of `demo-1`, for one test; no proxy yet. */
  async setUp(): Promise<void> {
    this.proxies = new TestProxies();
    this.keys.length = 0;
    this.typed = '';
    await this.proxies.auth.serve(this.proxies.transport);
    const screen = await this.startGuest((socket) => rfbScreen(socket, this.keys));
    const line = await this.startGuest((socket) => {
      socket.on('data', (bytes: Buffer) => (this.typed += bytes.toString()));
      serialPrompt(socket);
    });
    this.proxies.auth.consoles.set('screen', { instanceName: 'demo-1', consoleType: 'novnc', port: screen.port });
    this.proxies.auth.consoles.set('line', { instanceName: 'demo-1', consoleType: 'serial', port: line.port, exclusive: true });
    this.relay.mend();
  }

  async startGuest(serveOne: Parameters<typeof startGuest>[0]): Promise<TestGuest> {
    const guest = await startGuest(serveOne);
    this.#guests.push(guest);
    return guest;
  }

  /** A proxy that tabs reach. */
  async startProxy(settings: Partial<ConsoleProxyConfig> = {}, name = 'proxy-1'): Promise<void> {
    await this.proxies.start(name, settings);
    this.leadTo(name);
  }

  leadTo(name: string): void {
    this.relay.leadTo(Number(new URL(this.proxies.urlOf(name)).port));
  }

  async tearDown(): Promise<void> {
    for (const context of this.#contexts.values()) await Promise.all(context.pages().map((page) => page.close()));
    for (const context of this.#ownContexts.splice(0)) await context.close();
    await this.proxies.close();
    for (const guest of this.#guests.splice(0)) await guest.close();
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.relay.close();
  }

  /** A new tab. Tabs of one look share a profile, but for what a page keeps for its tab alone. */
  async visit(path: string, look: Look = 'light', context?: BrowserContext): Promise<Tab> {
    const page = await (context ?? (await this.#contextOf(look))).newPage();
    const complaints: string[] = [];
    page.on('console', (message) => {
      // Reading pixels back is the tests' own doing.
      if (!message.text().includes('getImageData')) complaints.push(`${message.type()}: ${message.text()}`);
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(this.relay.url + path);
    return { page, complaints };
  }

  /** A profile of its own, closed with the test. */
  async newContext(options: BrowserContextOptions = LOOKS.light): Promise<BrowserContext> {
    const context = await this.browser.newContext(options);
    this.#ownContexts.push(context);
    return context;
  }

  async #contextOf(look: Look): Promise<BrowserContext> {
    const context = this.#contexts.get(look) ?? (await this.browser.newContext(LOOKS[look]));
    this.#contexts.set(look, context);
    return context;
  }
}

const WAIT = { timeout: 20_000 };

/** Resolves when the page says the connection's state in these words. */
export async function stateIs(page: Page, words: string): Promise<void> {
  await page.waitForFunction((wanted) => document.getElementById('state')?.textContent === wanted, words, WAIT);
}

/** Resolves when the card over the console has this title. */
export async function titleIs(page: Page, words: string): Promise<void> {
  await page.waitForFunction((wanted) => document.getElementById('message-title')?.textContent === wanted, words, WAIT);
}

/** Resolves when the line above the console says so. */
export async function noticeIs(page: Page, words: RegExp): Promise<void> {
  await page.waitForFunction(
    (wanted) => document.getElementById('notice')?.hidden === false && new RegExp(wanted).test(document.getElementById('notice')?.textContent ?? ''),
    words.source, WAIT,
  );
}

export const sessionOf = (page: Page): Promise<string | undefined> => page.evaluate(() => document.body.dataset['session']);

/** Leaves a picture to be looked at after the run. */
export const shoot = (page: Page, name: string): Promise<Buffer> => page.screenshot({ path: artifactPath(`page-${name}.png`) });
