/**
 * Generates the two Prisma clients (libs/api-db, libs/cell-db: src/generated) from prisma/.
 *
 * `prisma generate` insists on a schema-engine binary, which it would download, and never runs it: any
 * executable will do, so it gets node itself and no network is needed. Beside the client stand the migrations as
 * a module, so that bundles carry them. Nothing is generated again while schema, migrations, Prisma and this
 * file stay the same (a stamp in the output says what it was made from).
 *
 *   node tools/generate-prisma.mjs [--force]
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const DATABASES = ['api', 'cell'];
const run = promisify(execFile);
const require = createRequire(import.meta.url);

/**
 * @param {{ force?: boolean }} [options] force: generate even what is fresh
 * @returns {Promise<string[]>} the databases whose client was generated; empty when all were fresh
 */
export async function generatePrisma({ force = false } = {}) {
  const packageFile = require.resolve('prisma/package.json');
  const { version, bin } = JSON.parse(await readFile(packageFile, 'utf8'));
  const prisma = join(dirname(packageFile), typeof bin === 'string' ? bin : bin.prisma);
  const self = await readFile(fileURLToPath(import.meta.url));
  const generated = [];
  for (const database of DATABASES) {
    const schema = join(ROOT, 'prisma', database, 'schema.prisma');
    const output = join(ROOT, 'libs', `${database}-db`, 'src', 'generated');
    const stampFile = join(output, '.stamp');
    const migrations = JSON.stringify(await readMigrations(join(ROOT, 'prisma', database, 'migrations')), null, 2);
    const stamp = createHash('sha256').update(version).update(self).update(await readFile(schema)).update(migrations).digest('hex');
    if (!force && (await readFile(stampFile, 'utf8').catch(() => '')) === stamp) continue;
    // A stale model file of a table that is gone would still be compiled.
    await rm(output, { recursive: true, force: true });
    await generate(prisma, schema);
    await mkdir(output, { recursive: true });
    await writeFile(join(output, 'migrations.ts'), `export const MIGRATIONS = ${migrations} as const;\n`);
    await writeFile(stampFile, stamp);
    generated.push(database);
  }
  return generated;
}

/** @returns {Promise<{ name: string, sql: string }[]>} in the order in which they are applied */
async function readMigrations(folder) {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort();
  return Promise.all(names.map(async (name) => ({ name, sql: await readFile(join(folder, name, 'migration.sql'), 'utf8') })));
}

async function generate(prisma, schema) {
  const env = {
    ...process.env,
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  };
  try {
    await run(process.execPath, [prisma, 'generate', '--schema', schema], { cwd: ROOT, env });
  } catch (error) {
    throw new Error(`prisma generate failed for ${schema}:\n${error.stdout ?? ''}${error.stderr ?? error.message}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const generated = await generatePrisma({ force: process.argv.includes('--force') });
  console.log(generated.length > 0 ? `generated the Prisma clients: ${generated.join(', ')}` : 'the Prisma clients are fresh');
}
