/** A document of Nova's tests as data: what it says of each of them (docs/nova-consoles.md, docs/nova-metadata.md). */
import { readFileSync } from 'node:fs';

export const STATES = ['same', 'different', 'none'] as const;
export type State = (typeof STATES)[number];

export interface TableRow {
  /** Nova's file of tests, or what stands over the table. */
  readonly section: string;
  /** Names of Nova's tests; none where a row speaks of many in words. */
  readonly names: readonly string[];
  readonly state: State;
  readonly why: string;
  readonly line: number;
}

/** The table that speaks of no test. */
const IN_GENERAL = 'Differences that run through all of it';
const DOCUMENTS = new URL('../../docs/', import.meta.url);

/** Throws an Error for a row whose state is none of those there are. */
export function readNovaTable(document = 'nova-consoles.md'): readonly TableRow[] {
  const rows: TableRow[] = [];
  let section = '';
  for (const [index, text] of readFileSync(new URL(document, DOCUMENTS), 'utf8').split('\n').entries()) {
    section = /^## (.*)$/.exec(text)?.[1] ?? section;
    const [, name = '', here = '', why = ''] = /^\| (.*?) \| (.*?) \| (.*?) ?\|$/.exec(text) ?? [];
    if (name === '' || name.startsWith("Nova's test") || section === IN_GENERAL) continue;
    const state = STATES.find((each) => each === here);
    if (state === undefined) throw new Error(`line ${index + 1} of the document says "${here}"; ${STATES.join(', ')} are what a row may say`);
    rows.push({ section, names: namesIn(name), state, why, line: index + 1 });
  }
  return rows;
}

/** What stands in code quotes and is the name of a test. */
export function namesIn(text: string): readonly string[] {
  return [...text.matchAll(/`(test_\w+)`/g)].map(([, name = '']) => name);
}
