/**
 * The operator's own vendor data: a JSON file, read at the start and again when it changes. A file that cannot be read, or holds no JSON,
 * ends a start; later it is told once, and what was read before stays.
 */
import { readFileSync, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Logger } from '@gatehouse/runtime/logger';

/** Every guest reads all of it. */
const FILE_BYTES_MAX = 1_048_576;

export class VendorDataFile {
  readonly #path: string;
  readonly #log: Logger;
  #value: unknown;
  /** Of the file as it was last judged. */
  #stamp: string;

  /** @throws ServiceError INVALID_ARGUMENT: the file cannot be read, or holds none of what a guest takes */
  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
    this.#stamp = stampOf(use(path, () => statSync(path)));
    this.#value = valueOf(path, use(path, () => readFileSync(path)));
  }

  get value(): unknown {
    return this.#value;
  }

  /** Reads the file again if it has changed, or if that was asked for; never rejects. */
  async refresh({ isAsked = false }: { readonly isAsked?: boolean } = {}): Promise<void> {
    const stamp = await stat(this.#path).then(stampOf, (error: NodeJS.ErrnoException) => String(error.code));
    if (stamp === this.#stamp && !isAsked) return;
    this.#stamp = stamp;
    try {
      this.#value = valueOf(this.#path, await readFile(this.#path));
      this.#log.info({ path: this.#path }, 'vendor data was read again');
    } catch (error) {
      this.#log.error({ path: this.#path, reason: error instanceof ServiceError ? error.message : reasonOf(error) },
        'vendor data cannot be read again; what was read before stays');
    }
  }
}

function stampOf({ ino, size, mtimeMs }: { readonly ino: number; readonly size: number; readonly mtimeMs: number }): string {
  return `${ino} ${size} ${mtimeMs}`;
}

/** An object, a list or a text: what guests know to do something with. Its content is quoted nowhere. */
function valueOf(path: string, bytes: Buffer): unknown {
  if (bytes.length > FILE_BYTES_MAX) throw wrong(path, `is longer than ${FILE_BYTES_MAX} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw wrong(path, 'holds no JSON');
  }
  if (typeof value !== 'string' && (typeof value !== 'object' || value === null)) throw wrong(path, 'holds neither an object nor a list nor a text');
  return value;
}

function use<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw wrong(path, `cannot be read (${reasonOf(cause)})`);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
}

function wrong(path: string, problem: string): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_VENDOR_DATA_FILE names ${path}, which ${problem}: set the path of a JSON file`);
}
