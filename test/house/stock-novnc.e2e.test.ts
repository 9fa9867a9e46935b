/**
 * noVNC as Debian ships it: its own page, from a web server of its own, on a URL with Nova's nested path. Dashboards and
 * installers serve such pages; the console proxy is to them no more than the host of a WebSocket.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { startWholeHouse, type WholeHouse } from '../nova/whole-house.ts';
import { artifactPath } from '../servers/artifacts.ts';
import { launchChromium } from '../servers/chromium.ts';
import { awaitWords, canvasPicture } from './console-page.ts';
import { coloursOf, showsText } from './screen-text.ts';
import type { Picture } from './screen-text.ts';

const NOVNC = '/usr/share/novnc';
/** Neither is a name of the proxy's host. */
const DASHBOARD = '127.0.0.2';
const STRANGER = '127.0.0.3';
const TYPES: Readonly<Record<string, string>> = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };

describe('the page of a stock noVNC, in Chromium', function () {
  this.timeout(60_000);
  let house: WholeHouse;
  let browser: Browser;
  let files: Server;
  let filesPort = 0;
  let server = '';

  before(async () => {
    files = createServer((request, response) => {
      const path = normalize(new URL(request.url ?? '/', 'http://files').pathname);
      readFile(join(NOVNC, path)).then(
        (body) => response.writeHead(200, { 'content-type': TYPES[path.split('.').at(-1) ?? ''] ?? 'application/octet-stream' }).end(body),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => files.listen(0, '0.0.0.0', resolve));
    filesPort = (files.address() as AddressInfo).port;
    [house, browser] = await Promise.all([
      startWholeHouse(['compute-1'], { consoleUrlStyle: 'nova', allowedOrigins: `http://${DASHBOARD}:${filesPort}` }),
      launchChromium(),
    ]);
    server = await house.boot('compute-1', { name: 'stock' });
  });

  after(async () => {
    await browser?.close();
    await house?.stop();
    files?.closeAllConnections();
    files?.close();
  });

  /** Its page with the query of the URL that the api gave, and where the proxy is. */
  async function openPage(pageHost: string): Promise<Page> {
    const { status, body } = await house.ask('2.6', 'POST', `/servers/${server}/remote-consoles`, { remote_console: { protocol: 'vnc', type: 'novnc' } });
    assert.equal(status, 200, JSON.stringify(body));
    const { hostname, port, search } = new URL((body['remote_console'] as { url: string }).url);
    assert.match(search, /^\?path=%3Ftoken%3D[\w-]{43}$/);
    const page = await browser.newPage();
    await page.goto(`http://${pageHost}:${filesPort}/vnc_lite.html${search}&host=${hostname}&port=${port}`);
    return page;
  }

  it('gets no console where its origin is not among those allowed', async () => {
    const page = await openPage(STRANGER);
    await awaitWords(page, /connection is closed/);
    await page.close();
  });

  it('connects by the nested path, draws the screen, and shows what is typed', async () => {
    const page = await openPage(DASHBOARD);
    await awaitWords(page, /Connected to .*stock/);
    await awaitPicture(page, (picture) => coloursOf(picture) > 4);
    await page.locator('canvas').click();
    await page.keyboard.type('Hello, stock noVNC!', { delay: 10 });
    // The caret stands in the last letter's cell.
    await awaitPicture(page, (picture) => showsText(picture, 'Hello, stock noVNC'));
    await page.screenshot({ path: artifactPath('stock-novnc.png') });
    await page.close();
  });

  async function awaitPicture(page: Page, test: (picture: Picture) => boolean): Promise<void> {
    for (const until = Date.now() + 20_000; !test(await canvasPicture(page)); ) {
      assert.ok(Date.now() < until, 'the picture was not seen in time');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
});
