/**
 * Metadata is a tree of folders and files, and the path of a request is a walk through it. A folder answers with
 * the names in it, one a line; nothing lies below a file. Of a tree only what is walked through is made.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { readSeeded } from './seeded-text.ts';
import type { SeededText } from './seeded-text.ts';

export type Content = string | Buffer;

export interface File {
  readonly kind: 'file';
  readonly type: string;
  /** Made when it is asked for. */
  readonly content: () => Content | Promise<Content>;
  /** The same content, where a part of it is another at each request. */
  readonly seeded?: () => SeededText;
  /** It depends on more than the instance's facts: nobody may keep it for the next request. */
  readonly isLive?: true;
}

export interface Folder {
  readonly kind: 'folder';
  readonly entries: () => Entries;
  /** One of them by its name, where that takes less than to make them all. */
  readonly entry?: (name: string) => Node | undefined;
  /** Its listing where that differs from the names of its entries; null where it has none and is not found itself. */
  readonly listing?: (() => readonly string[]) | null;
  /** As of a file: what is listed depends on more than the instance's facts. */
  readonly isLive?: true;
}

export type Node = File | Folder;
export type Entries = Readonly<Record<string, Node>>;

export interface Answer {
  readonly type: string;
  readonly content: Content;
  /** What the content is a reading of, where the next one differs. */
  readonly seeded?: SeededText;
  /** Not to be kept for the next request, though the instance's facts be the same. */
  readonly isLive?: true;
}

export interface PlacedFile {
  /** From the root, without a slash before it. */
  readonly path: string;
  readonly file: File;
}

export const TEXT = 'text/plain; charset=UTF-8';
export const JSON_TYPE = 'application/json';

export function file(content: File['content'], type = TEXT): File {
  return { kind: 'file', type, content };
}

export function liveFile(content: File['content'], type = TEXT): File {
  return { kind: 'file', type, content, isLive: true };
}

export function folder(entries: () => Entries, listing?: Folder['listing']): Folder {
  return listing === undefined ? { kind: 'folder', entries } : { kind: 'folder', entries, listing };
}

/** Of many entries each is made when it is walked to: of twenty versions a path leads through one. */
export function folderOf<Name extends string>(names: readonly Name[], entryOf: (name: Name) => Node, listing?: Folder['listing']): Folder {
  const entry = (wanted: string): Node | undefined => {
    const name = names.find((each) => each === wanted);
    return name === undefined ? undefined : entryOf(name);
  };
  return { ...folder(() => Object.fromEntries(names.map((name) => [name, entryOf(name)])), listing), entry };
}

export function seededFile(seeded: () => SeededText, type: string): File {
  return { ...file(() => readSeeded(seeded()), type), seeded };
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

/** Throws NOT_FOUND where nothing is, or nothing that can be read. */
export async function walk(root: Node, steps: readonly string[]): Promise<Answer> {
  const node = nodeAt(root, steps);
  const live = node.isLive === undefined ? {} : { isLive: node.isLive };
  if (node.kind === 'folder') return { type: TEXT, content: listingOf(node).join('\n'), ...live };
  const { type } = node;
  const seeded = node.seeded?.();
  if (seeded !== undefined) return { type, content: readSeeded(seeded), seeded, ...live };
  return { type, content: await node.content(), ...live };
}

/** What stands there, without its content. Throws NOT_FOUND as `walk` does. */
export function nodeAt(root: Node, steps: readonly string[]): Node {
  let node = root;
  for (const step of steps) {
    const next = node.kind === 'folder' ? entryIn(node, step) : undefined;
    if (next === undefined) throw notFound();
    node = next;
  }
  if (node.kind === 'folder' && node.listing === null) throw notFound();
  return node;
}

function entryIn({ entry, entries }: Folder, name: string): Node | undefined {
  if (entry !== undefined) return entry(name);
  const all = entries();
  return Object.hasOwn(all, name) ? all[name] : undefined;
}

/** Every file of a tree, in its order. */
export function filesOf(root: Folder, below = ''): readonly PlacedFile[] {
  return Object.entries(root.entries()).flatMap(([name, node]) =>
    node.kind === 'folder' ? filesOf(node, `${below}${name}/`) : [{ path: `${below}${name}`, file: node }]);
}

export function notFound(): ServiceError {
  return new ServiceError('NOT_FOUND', 'The resource could not be found.');
}

function listingOf({ listing, entries }: Folder): readonly string[] {
  return listing?.() ?? Object.entries(entries()).map(([name, entry]) => (entry.kind === 'folder' ? `${name}/` : name));
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw notFound();
  }
}
