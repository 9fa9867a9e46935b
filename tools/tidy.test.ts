import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { basename, join } from 'node:path';
import { ROOMS } from '../eslint.config.mjs';

// What of the house's order a linter does not see.
const ROOT = new URL('..', import.meta.url).pathname;
const FORBIDDEN_FOLDERS = ['common', 'shared', 'utils', 'helpers', 'core', 'misc', 'dto'];
const FILE_NAME = /^[a-z0-9]+(-[a-z0-9]+)*(\.(controller|gateway|module|server|db|broker|e2e|test|fixture))*\.ts$/;

interface Room {
  readonly name: string;
  readonly folder: string;
  readonly sources: readonly string[];
}

interface PackageFile {
  readonly name: string;
  readonly exports: Record<string, string>;
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
}

describe('the house is tidy', () => {
  const rooms = ['apps', 'libs'].flatMap((kind) =>
    readdirSync(join(ROOT, kind)).map((name): Room => ({ name, folder: join(ROOT, kind, name), sources: filesBelow(join(ROOT, kind, name, 'src')) })),
  );

  it('has a row in the boundary table for each room, and a room for each row', () => {
    assert.deepEqual(rooms.map((room) => room.name).sort(), Object.keys(ROOMS).sort());
  });

  for (const room of rooms) {
    it(`names the room ${room.name} alike in package.json and project.json, and exports files, not a barrel`, () => {
      const own = packageOf(room);
      assert.equal(own.name, `@gatehouse/${room.name}`);
      assert.deepEqual(own.exports, { './*': './src/*.ts' });
      const project = JSON.parse(readFileSync(join(room.folder, 'project.json'), 'utf8')) as { tags: string[] };
      assert.deepEqual(project.tags, [`room:${room.name}`]);
    });

    it(`declares what ${room.name} imports`, () => {
      const own = packageOf(room);
      const undeclared = room.sources
        .filter((path) => !/(\.test\.ts|\/testing\.ts|\/test-[^/]+\.ts|\/fixtures\/.*)$/.test(path))
        .flatMap((path) => importedPackages(path).map((name) => `${name} in ${path.slice(ROOT.length)}`))
        .filter((text) => {
          const name = text.split(' in ')[0] ?? text;
          return name !== own.name && !(name in { ...own.dependencies, ...own.devDependencies });
        });
      assert.deepEqual(undeclared, []);
    });
  }

  it('names files in kebab-case and no folder after a drawer for everything', () => {
    const wrong = rooms.flatMap((room) =>
      room.sources.filter((path) => {
        const folders = path.slice(room.folder.length + 1).split('/').slice(0, -1);
        return !FILE_NAME.test(basename(path)) || folders.some((folder) => FORBIDDEN_FOLDERS.includes(folder));
      }),
    );
    assert.deepEqual(wrong, []);
  });
});

function packageOf(room: Room): PackageFile {
  return JSON.parse(readFileSync(join(room.folder, 'package.json'), 'utf8')) as PackageFile;
}

function importedPackages(path: string): string[] {
  const text = readFileSync(path, 'utf8');
  const specifiers = [...text.matchAll(/^(?:import|export)\s[^'";]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  );
  return specifiers
    .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:') && !builtinModules.includes(specifier))
    .map((specifier) => specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/'));
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'generated' || entry.name === 'node_modules' ? [] : filesBelow(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}
