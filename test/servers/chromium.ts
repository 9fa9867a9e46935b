import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

// Debian's browser, without the calls home and the sandbox that root may not use.
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Launches a headless Chromium with a fresh profile; the caller closes it. */
export async function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: executable(), args: ARGS, timeout: 60_000 });
}

function executable(): string {
  const candidates = ['/usr/bin/chromium', ...(process.env['PATH'] ?? '').split(':').map((folder) => `${folder}/chromium`)];
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined) throw new Error('Chromium is not installed: apt-get install chromium');
  return found;
}
