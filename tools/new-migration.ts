/**
 * Writes the migration that leads from the committed schema to the one in the working tree:
 *
 *   npx tsx tools/new-migration.ts <api|cell> <what_it_does>
 *
 * Read what it wrote before committing it: it knows nothing of rows, of locks, or of names' collation ("C").
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDatabase } from '@gatehouse/database/database';
import { diffSql, openSchemaEngine } from '@gatehouse/database/schema-engine';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const [name = '', title = ''] = process.argv.slice(2);
if (!['api', 'cell'].includes(name) || !/^[a-z][a-z0-9_]{2,60}$/.test(title)) {
  console.error('usage: npx tsx tools/new-migration.ts <api|cell> <what_it_does>');
  process.exit(2);
}

const file = `prisma/${name}/schema.prisma`;
const before = execFileSync('git', ['show', `HEAD:${file}`], { cwd: ROOT, encoding: 'utf8' });
const now = readFileSync(join(ROOT, file), 'utf8');
// The engine wants a database to talk to even when it only compares two texts.
const scratch = await openDatabase({ dataDir: 'memory://' }, { schema: 'scratch', migrations: [] });
const sql = await diffSql(await openSchemaEngine(now, scratch.adapter), before, now);
await scratch.close();

if (sql === '') {
  console.log(`${file} is as it was committed; there is nothing to migrate`);
} else {
  const stamp = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  const folder = join(ROOT, 'prisma', name, 'migrations', `${stamp}_${title}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'migration.sql'), sql);
  console.log(`wrote prisma/${name}/migrations/${stamp}_${title}/migration.sql; npm run generate takes it in`);
}
