/** What a person sees on the proxy's pages: words, the screen's own pixels, the terminal's lines. */
import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { artifactPath } from '../servers/artifacts.ts';
import type { Picture } from './screen-text.ts';

/** Resolves when the visible text of the page says so. */
export async function awaitWords(page: Page, words: RegExp, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let seen = '';
  for (;;) {
    seen = await page.locator('body').innerText();
    if (words.test(seen)) return;
    if (Date.now() > deadline) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await page.screenshot({ path: artifactPath('words-not-seen.png') });
  assert.fail(`the page does not say ${words}, but: ${seen.slice(0, 500)}`);
}

/** The console's own pixels, whatever the page's scaling. */
export async function canvasPicture(page: Page): Promise<Picture> {
  const { width, height, base64 } = await page.evaluate(() => {
    const canvas = document.querySelector('canvas');
    const context = canvas?.getContext('2d');
    if (!canvas || !context || canvas.width === 0) return { width: 0, height: 0, base64: '' };
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let binary = '';
    for (let at = 0; at < data.length; at += 32_768) binary += String.fromCharCode(...data.subarray(at, at + 32_768));
    return { width: canvas.width, height: canvas.height, base64: btoa(binary) };
  });
  return { width, height, data: new Uint8Array(Buffer.from(base64, 'base64')) };
}

/** The terminal's lines as they are drawn. */
export async function terminalText(page: Page): Promise<string> {
  const rows = await page.locator('.xterm-rows > div').allInnerTexts();
  return rows.map((row) => row.replaceAll('\u00a0', ' ').trimEnd()).join('\n');
}
