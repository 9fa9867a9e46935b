import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

/** What a suite needs, by its file's suffix; the order is the order of running. */
export const CLASSES = ['unit', 'db', 'broker', 'e2e'];

// Nobody's test takes longer, and a hung one must not hold the run.
export const FILE_TIME_LIMIT_MS = { unit: 180_000, db: 360_000, broker: 480_000, e2e: 420_000 };

/** End-to-end files that mostly wait, for leases and outages of whole minutes: they run beside the others. */
export const PATIENT = new Set([
  'apps/console-proxy/src/console-pages-return.e2e.test.ts',
  'apps/console-proxy/src/console-proxy-tls.e2e.test.ts',
  'apps/consoleauth/src/outages.e2e.test.ts',
  'test/house/behind-balancers.e2e.test.ts',
  'test/house/console-outages.e2e.test.ts',
  'test/house/console-skew.e2e.test.ts',
  'test/house/half-open.e2e.test.ts',
]);

const FOLDERS = ['apps', 'libs', 'test', 'tools', 'bench'];
const SKIPPED = new Set(['node_modules', 'dist', 'generated', 'artifacts']);

/**
 * Every test file of the repository with its class, in a stable order.
 *
 * @param {string} root
 * @returns {{ path: string, class: string }[]} paths relative to root
 */
export function findTestFiles(root) {
  const found = [];
  const visit = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !SKIPPED.has(entry.name) && !entry.name.startsWith('.')) visit(path);
      else if (entry.isFile() && entry.name.endsWith('.test.ts')) found.push(relative(root, path));
    }
  };
  for (const folder of FOLDERS) visit(join(root, folder));
  return found.sort().map((path) => ({ path, class: classOf(path) }));
}

/** `x.test.ts` is unit, `x.db.test.ts` is db, and so on; an unknown middle word is part of the name. */
export function classOf(path) {
  const suffix = /\.(\w+)\.test\.ts$/.exec(path)?.[1];
  return suffix !== undefined && CLASSES.includes(suffix) ? suffix : 'unit';
}

/** Whether a path is meant by a pattern: a glob when it has a star, otherwise any part of the path. */
export function matches(path, pattern) {
  if (!pattern.includes('*')) return path.includes(pattern.replace(/^\.\//, ''));
  const expression = pattern
    .replace(/^\.\//, '')
    .replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/\*\*\/|\*\*|\*/g, (star) => ({ '**/': '(?:.*/)?', '**': '.*', '*': '[^/]*' })[star]);
  return new RegExp(`^${expression}$`).test(path);
}
