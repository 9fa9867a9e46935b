/**
 * The socket that node-postgres believes to lead to a server: a Duplex that answers the start-up itself and
 * hands everything after it to the embedded backend, turn by turn.
 *
 * Wire: PostgreSQL's frontend/backend protocol 3.0. The first message is <int32 length><int32 version>..., each
 * later one <byte type><int32 length>..., the length counting itself.
 */
import { Duplex } from 'node:stream';
import type { EmbeddedPostgresql, Turn } from './embedded-postgresql.ts';

const PROTOCOL_3_0 = 0x0003_0000;
const TERMINATE = 'X'.charCodeAt(0);
const READY_FOR_QUERY = 'Z'.charCodeAt(0);
const IDLE = 'I'.charCodeAt(0);
/** Sync first: after an error in the middle of a batch the backend passes over everything up to it. */
const ROLLBACK = Buffer.concat([message('S', Buffer.alloc(0)), message('Q', Buffer.from('ROLLBACK\0'))]);
/** Far above any statement of ours; a longer message means that the two sides have lost step. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** PostgreSQL's own limit. */
const START_UP_BYTES_MAX = 10_000;

/** Authentication done, two settings that drivers look at, a key nobody can cancel by, ready. */
const WELCOME = Buffer.concat([
  message('R', int32(0)),
  message('S', Buffer.from('client_encoding\0UTF8\0')),
  message('S', Buffer.from('standard_conforming_strings\0on\0')),
  message('K', Buffer.concat([int32(0), int32(0)])),
  message('Z', Buffer.from('I')),
]);

export class EmbeddedSocket extends Duplex {
  readonly #server: EmbeddedPostgresql;
  readonly #schema: string;
  #hasStarted = false;
  #received: Buffer = Buffer.alloc(0);
  #turn: Turn | undefined;
  /** Set while the backend works for this connection, so that a destroyed socket does not leave it half way. */
  #exchange: Promise<unknown> = Promise.resolve();

  constructor(server: EmbeddedPostgresql, schema: string) {
    super({ allowHalfOpen: false });
    this.#server = server;
    this.#schema = schema;
  }

  /** What node-postgres calls on a net.Socket. */
  connect(): this {
    queueMicrotask(() => this.emit('connect'));
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  override _read(): void {
    // Answers are pushed when the backend gives them; each is the answer to a request that we held back for.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    this.#exchange = this.#handle();
    this.#exchange.then(
      () => done(),
      (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary', done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    done(error);
    // A client that goes in the middle of a transaction takes back what it did, like one that loses its server.
    void this.#exchange
      .catch(() => {})
      .then(() => this.#turn?.exchange(ROLLBACK))
      .catch(() => {})
      .then(() => this.#endTurn());
  }

  async #handle(): Promise<void> {
    if (!this.#hasStarted && !this.#start()) return;
    const { whole, isLast } = this.#takeWholeMessages();
    if (whole.length > 0) {
      this.#turn ??= await this.#server.takeTurn(this.#schema);
      // Who gave up while waiting must not have its statement run after all.
      if (this.destroyed) return;
      const answer = await this.#turn.exchange(whole);
      if (isIdle(answer)) this.#endTurn();
      if (answer.length > 0 && !this.destroyed) this.push(answer);
    }
    if (isLast) this.push(null);
  }

  /** @returns false until the start-up message is whole */
  #start(): boolean {
    if (this.#received.length < 8) return false;
    const length = this.#received.readInt32BE(0);
    const version = this.#received.readInt32BE(4);
    if (version !== PROTOCOL_3_0 || length < 8 || length > START_UP_BYTES_MAX) {
      throw new Error('the embedded database speaks PostgreSQL\'s protocol 3.0 without TLS, nothing else');
    }
    if (this.#received.length < length) return false;
    this.#received = this.#received.subarray(length);
    this.#hasStarted = true;
    this.push(WELCOME);
    return true;
  }

  /** Never with a Terminate among them: the backend would obey it. */
  #takeWholeMessages(): { readonly whole: Buffer; readonly isLast: boolean } {
    const all = this.#received;
    let end = 0;
    let isLast = false;
    while (all.length - end >= 5) {
      isLast = all[end] === TERMINATE;
      if (isLast) break;
      const length = all.readInt32BE(end + 1);
      if (length < 4 || length > MESSAGE_BYTES_MAX) throw new Error(`a protocol message of ${length} bytes; 4 to ${MESSAGE_BYTES_MAX} are possible`);
      if (all.length - end < 1 + length) break;
      end += 1 + length;
    }
    this.#received = isLast ? Buffer.alloc(0) : all.subarray(end);
    return { whole: all.subarray(0, end), isLast };
  }

  #endTurn(): void {
    this.#turn?.release();
    this.#turn = undefined;
  }
}

/** True when the answer ends with ReadyForQuery outside a transaction. */
function isIdle(answer: Uint8Array): boolean {
  const at = answer.length - 6;
  return at >= 0 && answer[at] === READY_FOR_QUERY && answer[at + 4] === 5 && answer[at + 5] === IDLE;
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
