// Looks for the secrets that were made in a run in everything that its suites left: logs, database dumps, audit files. A
// secret is found as it is written in a link, in hexadecimal, and within percent-encoding and base64; a hash of it is no find.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const PIECE_BYTES = 4 * 1024 * 1024;
/** What two pieces of a file share: longer than any form of a secret. */
const OVERLAP_BYTES = 1_024;
const START_LENGTH = 6;
const FINDS_MAX = 20;
const CONTEXT_CHARS = 120;

/**
 * Searches a folder that note-secrets.cjs and test/servers/evidence.ts have filled.
 *
 * @param {string} folder
 * @returns {{ secrets: number, hashesSeen: number, files: Record<string, number>, bytes: number, finds: string[] }}
 *   hashesSeen: secrets whose SHA-256 stands somewhere, which shows that the search sees what is there
 */
export function searchEvidence(folder) {
  const names = readdirSync(folder);
  const hex = names.filter((name) => name.endsWith('.hex')).flatMap((name) => readFileSync(join(folder, name), 'latin1').split('\n').filter(Boolean));
  const search = new SecretSearch(hex);
  const files = {};
  let bytes = 0;
  for (const name of names.filter((each) => !each.endsWith('.hex'))) {
    const [kind] = name.split('-');
    files[kind] = (files[kind] ?? 0) + 1;
    for (const piece of piecesOf(join(folder, name))) {
      bytes += piece.length;
      search.look(name, piece);
    }
  }
  return { secrets: search.size, hashesSeen: search.hashesSeen, files, bytes, finds: search.finds };
}

export class SecretSearch {
  finds = [];
  #forms = new Set();
  #starts = new Set();
  #lengths = new Set();
  #hashes = new Set();
  #hashesSeen = new Set();
  #size = 0;

  /** @param {Iterable<string>} secrets in hexadecimal */
  constructor(secrets) {
    for (const hex of new Set(secrets)) {
      const bytes = Buffer.from(hex, 'hex');
      const link = bytes.toString('base64url');
      for (const form of [link, hex, Buffer.from(link).toString('hex')]) this.#add(form);
      this.#hashes.add(createHash('sha256').update(link).digest('hex'));
      this.#size += 1;
    }
  }

  get size() {
    return this.#size;
  }

  get hashesSeen() {
    return this.#hashesSeen.size;
  }

  /** Adds what it finds in the text to `finds`. */
  look(where, text) {
    for (const [hash] of text.matchAll(/(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g)) if (this.#hashes.has(hash)) this.#hashesSeen.add(hash);
    this.#lookAt(where, 'clear', text);
    if (/%[0-9a-f]{2}/i.test(text)) this.#lookAt(where, 'percent-encoded', text.replaceAll(/%([0-9a-f]{2})/gi, (_all, code) => String.fromCharCode(Number.parseInt(code, 16))));
    for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{58,}/g)) {
      // Nobody knows at which of four letters the encoding began.
      for (let from = 0; from < 4; from += 1) this.#lookAt(where, 'base64', Buffer.from(run.slice(from), 'base64').toString('latin1'));
    }
  }

  #add(form) {
    this.#forms.add(form);
    this.#starts.add(form.slice(0, START_LENGTH));
    this.#lengths.add(form.length);
  }

  #lookAt(where, how, text) {
    // base64 has two alphabets; the links' one stands for both.
    const normal = text.replaceAll('+', '-').replaceAll('/', '_');
    for (const match of normal.matchAll(/[A-Za-z0-9_-]{43,}/g)) {
      const [run] = match;
      for (let at = 0; at + START_LENGTH <= run.length; at += 1) {
        if (!this.#starts.has(run.slice(at, at + START_LENGTH))) continue;
        for (const length of this.#lengths) {
          if (at + length <= run.length && this.#forms.has(run.slice(at, at + length))) this.#found(where, how, text, match.index + at, length);
        }
      }
    }
  }

  #found(where, how, text, at, length) {
    if (this.finds.length >= FINDS_MAX) return;
    const [before, after] = [text.slice(Math.max(0, at - CONTEXT_CHARS), at), text.slice(at + length, at + length + CONTEXT_CHARS)];
    this.finds.push(`${where}, ${how}: ${before.split('\n').at(-1)}<a secret>${after.split('\n')[0]}`);
  }
}

function* piecesOf(path) {
  const file = openSync(path, 'r');
  try {
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let at = 0; ; at += PIECE_BYTES - OVERLAP_BYTES) {
      const read = readSync(file, piece, 0, PIECE_BYTES, at);
      yield piece.toString('latin1', 0, read);
      if (read < PIECE_BYTES) return;
    }
  } finally {
    closeSync(file);
  }
}
