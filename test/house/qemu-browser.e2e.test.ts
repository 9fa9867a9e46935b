import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { artifactPath } from '../servers/artifacts.ts';
import { launchChromium } from '../servers/chromium.ts';
import { makeSmallLinux } from '../servers/small-linux.ts';
import { ComputeClient } from './compute-client.ts';
import { awaitWords, canvasPicture, terminalText } from './console-page.ts';
import { coloursOf } from './screen-text.ts';
import { StandaloneProcess } from './standalone-process.ts';

const BOOT_MS_MAX = 120_000;

describe('a real machine in QEMU, in Chromium', function () {
  this.timeout(240_000);
  let folder: string;
  let standalone: StandaloneProcess;
  let compute: ComputeClient;
  let browser: Browser;
  let serverId: string;

  before(async () => {
    // Short: the path of a unix socket has at most 107 characters.
    folder = mkdtempSync('/tmp/gh-qemu-');
    const linux = await makeSmallLinux(folder);
    standalone = await StandaloneProcess.start({
      GATEHOUSE_DRIVER: 'qemu',
      GATEHOUSE_STATE_DIR: join(folder, 'm'),
      GATEHOUSE_QEMU_KERNEL: linux.kernel,
      GATEHOUSE_QEMU_INITRD: linux.initrd,
      GATEHOUSE_QEMU_APPEND: linux.append,
    });
    compute = new ComputeClient(standalone.apiUrl, 'demo:demo');
    // One machine is enough here, and kinder to a small host.
    const demos = await compute.listServers();
    for (const demo of demos.slice(1)) await compute.request('DELETE', `/servers/${demo.id}`);
    serverId = demos[0]?.id ?? assert.fail('no demo instance');
    browser = await launchChromium();
  });

  after(async () => {
    await browser?.close();
    // A machine outlives its agent, so the test ends it by name.
    for (const server of await (compute?.listServers() ?? [])) await compute.request('DELETE', `/servers/${server.id}`);
    await standalone?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('shows its boot screen, in more than one colour', async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(await compute.consoleUrl(serverId, 'vnc'));
    await awaitWords(page, /connected/i);
    const deadline = Date.now() + BOOT_MS_MAX;
    while (coloursOf(await canvasPicture(page)) < 2) {
      assert.ok(Date.now() < deadline, 'the screen stayed empty');
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    await page.screenshot({ path: artifactPath('vnc-qemu.png') });
    await page.close();
  });

  it('runs a command typed on its serial console and shows the output', async () => {
    const page = await browser.newPage({ viewport: { width: 1000, height: 600 } });
    await page.goto(await compute.consoleUrl(serverId, 'serial'));
    await awaitWords(page, /connected/i);
    const deadline = Date.now() + BOOT_MS_MAX;
    await page.locator('.xterm').click();
    // The link that the start printed may hold the first port for a while: this one opens the next.
    while (!/small-linux:\d# *$/.test((await terminalText(page)).trimEnd())) {
      assert.ok(Date.now() < deadline, `no prompt in ${await terminalText(page)}`);
      await page.keyboard.press('Enter');
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    await page.keyboard.type('echo $((6 * 7)) from $(uname -s)\n', { delay: 10 });
    while (!/^42 from Linux$/m.test(await terminalText(page))) {
      assert.ok(Date.now() < deadline, `no answer in ${await terminalText(page)}`);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    await page.screenshot({ path: artifactPath('serial-qemu.png') });
    await page.close();
  });
});
