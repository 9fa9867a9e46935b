/** The frozen releases (released/README.md): which there are, and what each must be. */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = new URL('./released/', import.meta.url).pathname;

/** SHA-256 over every file of a level, by its name. A level comes and goes as a whole; an entry never changes. */
export const RELEASED: Readonly<Record<string, string>> = {
  '3.1': '8860c0f7f48ef5292bfcec027fda4170435d53ffc1264f108fb6ee85a211af97',
};

/** Where the bundles of a level stand: `<service>.js`. */
export function releasedServices(level: string): string {
  return join(FOLDER, level, 'services');
}

export function listReleased(): readonly string[] {
  return readdirSync(FOLDER, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

export function hashOfReleased(level: string): string {
  const folder = join(FOLDER, level);
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
  const hash = createHash('sha256');
  for (const path of paths) {
    const body = readFileSync(join(folder, path));
    hash.update(`${path}\0${body.length}\0`).update(body);
  }
  return hash.digest('hex');
}
