import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { StepError } from './say.mjs';

/**
 * Refuses a Node.js older than package.json's `engines` asks for.
 *
 * @param {string} root
 * @param {string} [version] as process.versions.node has it
 */
export function checkNodeVersion(root, version = process.versions.node) {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [major, minor] = engines.node.replace('>=', '').split('.').map(Number);
  const [ownMajor, ownMinor] = version.split('.').map(Number);
  if (ownMajor > major || (ownMajor === major && ownMinor >= (minor ?? 0))) return;
  throw new StepError(`Node.js ${version} is too old: Gatehouse needs ${engines.node}. Debian 13 and nodejs.org have newer ones.`);
}
