/**
 * Every file that the pages use, read once at start. A request picks from this map and never names a path on the
 * disk. The files stand under a folder named by a hash of all of them, so that they may be kept for ever and an
 * upgraded proxy's pages never meet an older proxy's files.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
}

export interface WebAssets {
  /** `assets/<hash>`, without slashes around it. */
  readonly root: string;
  /** By path below the root: `web/vnc.js`, `novnc/core/rfb.js`, `xterm/xterm.mjs`. */
  readonly files: ReadonlyMap<string, Asset>;
  /** The pages' HTML, by name (`vnc`), with what they include. */
  readonly pages: ReadonlyMap<string, string>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Reads everything; throws what the file system says when a file is missing. */
export function readWebAssets(): WebAssets {
  const folders = assetFolders();
  const files = new Map<string, Asset>();
  for (const [name, folder] of Object.entries(folders)) {
    for (const path of filesBelow(folder)) {
      const type = TYPES[extname(path)];
      if (type !== undefined && !path.endsWith('.test.js')) files.set(`${name}/${path}`, { type, body: readFileSync(join(folder, path)) });
    }
  }
  const pages = new Map(
    readdirSync(folders.web)
      .filter((file) => file.endsWith('.html'))
      .map((file) => [file.slice(0, -'.html'.length), readFileSync(join(folders.web, file), 'utf8')]),
  );
  for (const [name, html] of pages) pages.set(name, html.replaceAll(/^\{\{include ([\w-]+)\.html\}\}\n/gm, (_, part: string) => pages.get(part) ?? ''));
  const hash = createHash('sha256');
  for (const [path, { body }] of files) hash.update(`${path}\0${body.length}\0`).update(body);
  return { root: `assets/${hash.digest('hex').slice(0, 16)}`, files, pages };
}

/**
 * In the source tree the files lie where they were written and where npm put them; beside a bundle they lie
 * together in `web-assets/` (web, novnc, xterm, spice), copied there by the build.
 */
function assetFolders(): Readonly<Record<'web' | 'novnc' | 'xterm' | 'spice', string>> {
  const here = dirname(fileURLToPath(import.meta.url));
  const bundled = join(here, 'web-assets');
  if (existsSync(bundled)) return { web: join(bundled, 'web'), novnc: join(bundled, 'novnc'), xterm: join(bundled, 'xterm'), spice: join(bundled, 'spice') };
  const require = createRequire(import.meta.url);
  return {
    web: join(here, '..', 'web'),
    novnc: join(dirname(require.resolve('@novnc/novnc')), '..'),
    xterm: dirname(require.resolve('@xterm/xterm/package.json')),
    spice: dirname(require.resolve('@spice-project/spice-html5/package.json')),
  };
}

/** What of the packages a page may load; the rest (sources, typings) is not served. */
const SERVED = /^(?:[^/]+|core\/.+|vendor\/pako\/lib\/.+|lib\/xterm\.mjs|css\/xterm\.css|src\/(?:thirdparty\/)?[^/]+)$/;

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1).replaceAll('\\', '/'))
    .filter((path) => SERVED.test(path))
    .sort();
}
