/**
 * Metadata is a tree of folders and files, and the path of a request is a walk through it. A folder answers with
 * the names in it, one a line; nothing lies below a file.
 */
import { ServiceError } from '@gatehouse/errors/service-error';

export interface File {
  readonly kind: 'file';
  readonly type: string;
  /** Made when it is asked for. */
  readonly content: () => string | Buffer;
}

export interface Folder {
  readonly kind: 'folder';
  readonly entries: Readonly<Record<string, Node>>;
  /** Its listing where that differs from the names of its entries. */
  readonly listing?: readonly string[];
}

export type Node = File | Folder;

export interface Answer {
  readonly type: string;
  readonly content: string | Buffer;
}

export const TEXT = 'text/plain; charset=UTF-8';
export const JSON_TYPE = 'application/json';

export function file(content: () => string | Buffer, type = TEXT): File {
  return { kind: 'file', type, content };
}

export function folder(entries: Readonly<Record<string, Node>>, listing?: readonly string[]): Folder {
  return listing === undefined ? { kind: 'folder', entries } : { kind: 'folder', entries, listing };
}

/** Deepest and longest path that is walked. */
const STEPS_MAX = 20;

/** The parts of a path; empty ones and `.` are passed over, `..` goes up but never out. Throws NOT_FOUND. */
export function stepsOf(path: string): readonly string[] {
  const steps: string[] = [];
  for (const part of decoded(path).split('/')) {
    if (part === '..') steps.pop();
    else if (part !== '' && part !== '.') steps.push(part);
    if (steps.length > STEPS_MAX) throw notFound();
  }
  return steps;
}

/** Throws NOT_FOUND where nothing is. */
export function walk(root: Node, steps: readonly string[]): Answer {
  let node = root;
  for (const step of steps) {
    const next = node.kind === 'folder' && Object.hasOwn(node.entries, step) ? node.entries[step] : undefined;
    if (next === undefined) throw notFound();
    node = next;
  }
  if (node.kind === 'file') return { type: node.type, content: node.content() };
  return { type: TEXT, content: (node.listing ?? names(node)).join('\n') };
}

export function notFound(): ServiceError {
  return new ServiceError('NOT_FOUND', 'The resource could not be found.');
}

function names(node: Folder): readonly string[] {
  return Object.entries(node.entries).map(([name, entry]) => (entry.kind === 'folder' ? `${name}/` : name));
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw notFound();
  }
}
