/**
 * Freezes a release: the services of one commit, as fixture for the tests of rolling upgrades (test/house/released/<level>).
 *
 * Only our own code is kept, with the database clients generated for its own schema and with the proxy's pages.
 * Third-party packages stay outside: the fixture runs with those that are installed. A release is frozen once, on
 * the day the next level begins, and never edited after.
 *
 *   node tools/freeze-release.mjs <level> <commit>
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StepError, failTool, say } from './steps/say.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PACKAGES = join(ROOT, 'node_modules');
const ENTRIES = {
  api: 'apps/api/src/main.ts',
  consoleauth: 'apps/consoleauth/src/main.ts',
  'compute-agent': 'apps/compute-agent/src/main.ts',
  'console-proxy': 'apps/console-proxy/src/main.ts',
  metadata: 'apps/metadata/src/main.ts',
  migrate: 'tools/migrate.ts',
};

/** Writes the fixture of a level into the folder of fixtures and returns its own. The banner of its files finds the packages from there. */
export async function freezeRelease(level, commit, fixtures = join(ROOT, 'test/house/released')) {
  const fixture = join(fixtures, level);
  if (existsSync(fixture)) throw new StepError(`${relative(ROOT, fixture)} is there: a frozen release is never made again`);
  const checkout = join(mkdtempSync(join(tmpdir(), 'gatehouse-freeze-')), 'checkout');
  const git = (...args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  const id = git('rev-parse', '--verify', `${commit}^{commit}`);
  git('worktree', 'add', '--detach', checkout, id);
  try {
    symlinkSync(PACKAGES, join(checkout, 'node_modules'));
    execFileSync(process.execPath, ['tools/generate.mjs'], { cwd: checkout, stdio: ['ignore', 'ignore', 'inherit'] });
    await bundle(checkout, join(fixture, 'services'));
    // Where the proxy's code looks for them: beside the folder of its own file.
    cpSync(join(checkout, 'apps/console-proxy/web'), join(fixture, 'web'), { recursive: true });
    writeFileSync(join(fixture, 'release.json'), `${JSON.stringify({ level, commit: id }, null, 2)}\n`);
  } finally {
    git('worktree', 'remove', '--force', checkout);
    rmSync(dirname(checkout), { recursive: true, force: true });
  }
  return fixture;
}

async function bundle(checkout, outdir) {
  const { build } = await import('esbuild');
  await build({
    absWorkingDir: checkout,
    entryPoints: Object.fromEntries(Object.entries(ENTRIES).map(([name, entry]) => [name, join(checkout, entry)])),
    outdir,
    bundle: true,
    // What services share is kept once.
    splitting: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    tsconfig: join(checkout, 'tsconfig.json'),
    // Nest finds providers by the names of classes.
    keepNames: true,
    // Names stay readable: who looks into a failure of the old code reads it.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 500,
    banner: { js: bannerOf(outdir) },
    plugins: [ownCodeOnly(checkout)],
    logLevel: 'warning',
  });
}

/** npm puts some packages below one room, where the fixture would not find them: they are asked for in that room's name. */
function bannerOf(outdir) {
  return [
    "import { createRequire as createRequireFor } from 'node:module';",
    `const requireFor = (room) => createRequireFor(new URL(\`${relative(outdir, ROOT)}/\${room}/package.json\`, import.meta.url));`,
  ].join('\n');
}

/** Bundles what comes from the checkout, its rooms included; everything else stays an import. */
function ownCodeOnly(checkout) {
  const setup = (build) => {
    build.onResolve({ filter: /^[^./]/ }, ({ path, importer }) => {
      if (isBuiltin(path)) return { path, external: true };
      const [, room, file] = /^@gatehouse\/([^/]+)\/(.+)$/.exec(path) ?? [];
      if (room !== undefined) return { path: join(roomFolder(checkout, room), 'src', `${file}.ts`) };
      const folder = relative(checkout, importer).split(sep).slice(0, 2).join('/');
      return isHoisted(folder, path) ? { path, external: true } : { path, namespace: 'installed-for-a-room', pluginData: folder };
    });
    build.onLoad({ filter: /.*/, namespace: 'installed-for-a-room' }, ({ path, pluginData }) => ({
      contents: `module.exports = requireFor(${JSON.stringify(pluginData)})(${JSON.stringify(path)});`,
      loader: 'js',
    }));
  };
  return { name: 'own code only', setup };
}

function roomFolder(checkout, room) {
  return ['libs', 'apps'].map((kind) => join(checkout, kind, room)).find((folder) => existsSync(folder)) ?? join(checkout, 'libs', room);
}

function isHoisted(folder, path) {
  const [scope, name] = path.split('/');
  const own = join(ROOT, folder, 'node_modules', scope.startsWith('@') ? join(scope, name) : scope);
  return !existsSync(own);
}

async function main() {
  const [level, commit] = process.argv.slice(2);
  if (level === undefined || commit === undefined || !/^\d+\.\d+$/.test(level)) {
    throw new StepError('usage: node tools/freeze-release.mjs <level> <commit>, for example 3.0 b604195');
  }
  const fixture = await freezeRelease(level, commit);
  const bytes = readdirSync(fixture, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + readFileSync(join(entry.parentPath, entry.name)).length, 0);
  say(`${relative(ROOT, fixture)}: ${Math.round(bytes / 1000)} kB`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main().catch(failTool);
