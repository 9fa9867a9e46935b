/**
 * What a run of all suites keeps of them for the search for secrets after it (tools/testing/secret-search.mjs): what
 * servers and services printed, what databases held when they were dropped, files that services wrote. Nothing is
 * kept where no folder for it is named.
 */
import { appendFileSync, copyFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './server-process.ts';

const LETTERS = /[^A-Za-z0-9_.]+/g;
/** Audit files, logs and Redis' files, and the rows of embedded databases: PostgreSQL numbers tables that it did not bring itself from here on. */
const FIRST_OWN_TABLE = 16_384;
const DEPTH_MAX = 6;

let count = 0;

/** Takes all that a process prints to its log. */
export function outputKeeper(name: string): (chunk: Buffer) => void {
  const path = pathOf('log', name);
  return path === null ? () => {} : (chunk) => appendFileSync(path, chunk);
}

/** A dump of a database. @throws when it cannot be made: what was not searched must not pass */
export async function keepDatabase(url: string): Promise<void> {
  const path = pathOf('database', new URL(url).pathname);
  if (path !== null) writeFileSync(path, await runCommand('pg_dump', ['--inserts', url]));
}

/** Content of another store. */
export function keepText(kind: 'database' | 'log', name: string, text: string): void {
  const path = pathOf(kind, name);
  if (path !== null) writeFileSync(path, text);
}

/** The audit files, logs and embedded tables in a folder that is about to be removed. */
export function keepFiles(folder: string, depth = 0): void {
  if (pathOf('file', folder) === null) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && depth < DEPTH_MAX) keepFiles(path, depth + 1);
    else if (entry.isFile() && isEvidence(path, entry.name)) copyFileSync(path, pathOf('file', entry.name) ?? '');
  }
}

function isEvidence(path: string, name: string): boolean {
  return /\.(?:jsonl|log|rdb)(?:\.\d+)?$/.test(name) || (/\/base\/\d+\/\d+$/.test(path) && Number(name) >= FIRST_OWN_TABLE);
}

function pathOf(kind: 'log' | 'database' | 'file', name: string): string | null {
  const folder = process.env['GATEHOUSE_TEST_EVIDENCE'];
  return folder ? join(folder, `${kind}-${name.replaceAll(LETTERS, '')}-${process.pid}-${(count += 1)}.txt`) : null;
}
