// `npm run build`: one ESM file an app in dist/<app>/, with the files it reads beside it, so that a copy of
// dist/<app> alone runs with `node main.js` on any machine that has Node.js.
//
//   node tools/build.mjs [--stale] [bundle ...]      --stale: only those with a newer source
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { installLockedDependencies } from './steps/locked-dependencies.mjs';
import { checkNodeVersion } from './steps/node-version.mjs';
import { StepError, failTool, say } from './steps/say.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
// bundle -> where it begins
const ENTRIES = {
  api: 'apps/api/src/main.ts',
  consoleauth: 'apps/consoleauth/src/main.ts',
  'compute-agent': 'apps/compute-agent/src/main.ts',
  'console-proxy': 'apps/console-proxy/src/main.ts',
  metadata: 'apps/metadata/src/main.ts',
  standalone: 'apps/standalone/src/main.ts',
  cli: 'apps/cli/src/main.ts',
  migrate: 'tools/migrate.ts',
};
export const BUNDLES = Object.keys(ENTRIES);
// Built only when it is named: the relays' benchmarks measure what is shipped, and TypeScript run as it stands is not that.
const BENCHES = { 'relay-bench': 'bench/relay-process.ts' };

// Drivers and transports that a library can use and we do not; an import of one of them never runs.
const NEVER_LOADED = [
  '@nestjs/websockets',
  '@nestjs/websockets/*',
  '@nestjs/microservices',
  '@nestjs/microservices/*',
  '@nestjs/platform-express',
  '@fastify/multipart',
  '@fastify/static',
  '@fastify/view',
  'class-validator',
  'class-transformer',
  'class-transformer/*',
  'kafkajs',
  'mqtt',
  'nats',
  '@nats-io/*',
  'amqp-connection-manager',
  'ts-proto',
  'pg-native',
];

// What CommonJS dependencies expect to find in a module.
const BANNER = [
  "import { createRequire as gatehouseCreateRequire } from 'node:module';",
  "import { fileURLToPath as gatehouseFileUrlToPath } from 'node:url';",
  'const require = gatehouseCreateRequire(import.meta.url);',
  'const __filename = gatehouseFileUrlToPath(import.meta.url);',
  "const __dirname = gatehouseFileUrlToPath(new URL('.', import.meta.url));",
].join('\n');

const EMBEDDED_DATABASE = ['pglite.wasm', 'pglite.data', 'initdb.wasm'];
const PAGES = join(ROOT, 'apps/console-proxy/web');
// Not bundled: browsers load these files as they are, licences included.
const BROWSER_PACKAGES = [
  { name: 'novnc', source: '@novnc/novnc', parts: ['core', 'vendor', 'package.json', 'LICENSE.txt'] },
  { name: 'xterm', source: '@xterm/xterm', parts: ['lib', 'css', 'package.json', 'LICENSE'] },
  { name: 'spice', source: '@spice-project/spice-html5', parts: ['src', 'package.json', 'COPYING', 'COPYING.LESSER', 'README'] },
];

/** Builds the bundles into dist/; returns the size of each bundle in bytes. */
export async function build(apps = BUNDLES) {
  const { build: bundle } = await import('esbuild');
  const sizes = {};
  for (const app of apps) {
    const folder = join(ROOT, 'dist', app);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const { metafile } = await bundle({
      absWorkingDir: ROOT,
      metafile: true,
      entryPoints: [join(ROOT, { ...ENTRIES, ...BENCHES }[app])],
      outfile: join(folder, 'main.js'),
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      tsconfig: join(ROOT, 'tsconfig.json'),
      // Not keepNames: it defines the name of each closure anew whenever one is made, which costs time and 250 bytes each.
      sourcemap: true,
      sourcesContent: false,
      banner: { js: BANNER },
      // Only standalone embeds its database; the others would carry 3 MB that they never load.
      external: [...NEVER_LOADED, ...(app === 'standalone' ? [] : ['@electric-sql/pglite'])],
      logLevel: 'warning',
    });
    copyAssets(app, folder);
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(packageOf(app), null, 2)}\n`);
    rememberInputs(app, Object.keys(metafile.inputs));
    sizes[app] = statSync(join(folder, 'main.js')).size;
  }
  return sizes;
}

function copyAssets(app, folder) {
  if (app === 'standalone') {
    const require = createRequire(join(ROOT, 'apps/standalone/package.json'));
    const pglite = dirname(require.resolve('@electric-sql/pglite'));
    for (const file of EMBEDDED_DATABASE) cpSync(join(pglite, file), join(folder, file));
  }
  if (!hasPages(app)) return;
  // Where apps/console-proxy/src/web-assets.ts looks for them beside a bundle.
  const assets = join(folder, 'web-assets');
  copy(PAGES, join(assets, 'web'));
  for (const { name, source, parts } of BROWSER_PACKAGES) {
    for (const part of parts) copy(join(ROOT, 'node_modules', source, part), join(assets, name, part));
  }
}

function copy(from, to) {
  if (!existsSync(from)) throw new StepError(`${from} is missing: a page would lack it`);
  cpSync(from, to, { recursive: true });
}

/** Builds those of the bundles that are missing or older than one of their sources. */
export async function buildWhenStale(apps = BUNDLES) {
  const stale = apps.filter(isStale);
  if (stale.length === 0) return {};
  say(`building ${stale.join(', ')} ...`);
  return build(stale);
}

function isStale(app) {
  const bundle = join(ROOT, 'dist', app, 'main.js');
  const record = inputsFile(app);
  if (!existsSync(bundle) || !existsSync(record)) return true;
  const builtAtMs = statSync(bundle).mtimeMs;
  return JSON.parse(readFileSync(record, 'utf8')).some((path) => {
    const file = join(ROOT, path);
    return !existsSync(file) || statSync(file).mtimeMs > builtAtMs;
  });
}

function rememberInputs(app, inputs) {
  const pages = hasPages(app) ? readdirSync(PAGES).map((file) => `apps/console-proxy/web/${file}`) : [];
  mkdirSync(dirname(inputsFile(app)), { recursive: true });
  writeFileSync(inputsFile(app), JSON.stringify([...inputs, ...pages, 'package-lock.json', 'tsconfig.base.json', 'tools/build.mjs']));
}

function inputsFile(app) {
  return join(ROOT, 'dist/.inputs', `${app}.json`);
}

function hasPages(app) {
  return ['console-proxy', 'standalone', ...Object.keys(BENCHES)].includes(app);
}

function packageOf(app) {
  const { version, license } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  return { name: `@gatehouse/${app}`, version, license, private: true, type: 'module', main: 'main.js' };
}

async function main() {
  checkNodeVersion(ROOT);
  await installLockedDependencies(ROOT);
  const { generate } = await import('./generate.mjs');
  await generate();
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { stale: { type: 'boolean', default: false } } });
  const unknown = positionals.filter((name) => !BUNDLES.includes(name) && !Object.hasOwn(BENCHES, name));
  if (unknown.length > 0) throw new StepError(`there is no ${unknown.join(', ')} to build: there are ${BUNDLES.join(', ')}`);
  const bundles = positionals.length > 0 ? positionals : BUNDLES;
  const sizes = values.stale ? await buildWhenStale(bundles) : await build(bundles);
  for (const [app, size] of Object.entries(sizes)) say(`dist/${app}/main.js  ${(size / 1_000_000).toFixed(1)} MB`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main().catch(failTool);
