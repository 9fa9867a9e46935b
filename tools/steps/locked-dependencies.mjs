// The dependencies in node_modules are exactly those of package-lock.json, or they are installed again.
// A stamp makes the common case one hash; without it, npm's own record of what it installed decides, so
// that an install made by hand is not repeated.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runStep } from './say.mjs';

const STAMP = 'node_modules/.gatehouse-lock';

/** @param {string} root */
export async function installLockedDependencies(root) {
  if (isFresh(root)) return;
  // No dependency needs its install script, and a script of a dependency is code that nobody reviewed.
  await runStep(
    'installing the locked dependencies (about half a minute)',
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: root, env: { ...process.env, npm_config_progress: 'false' } },
  );
  stamp(root);
}

/** @param {string} root */
export function isFresh(root) {
  const file = join(root, STAMP);
  if (existsSync(file) && readFileSync(file, 'utf8') === hashOfLock(root)) return true;
  if (!isInstalled(root)) return false;
  stamp(root);
  return true;
}

function isInstalled(root) {
  const record = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = readPackages(record);
  const locked = readPackages(join(root, 'package-lock.json'));
  return Object.entries(locked).every(([path, entry]) => {
    if (!path.includes('node_modules/')) return true;
    const found = installed[path];
    // Optional packages for other systems are locked and not installed.
    if (!found) return entry.optional === true || entry.devOptional === true || entry.peer === true;
    return entry.link === true ? found.link === true : found.version === entry.version && found.integrity === entry.integrity;
  });
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}

function stamp(root) {
  writeFileSync(join(root, STAMP), hashOfLock(root));
}

function hashOfLock(root) {
  return createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex');
}
