/**
 * One connection to a memcached, in its text protocol (protocol.txt of its source): requests are sent at once and answered
 * in their order. Made at the first request, and again at the first one after it was lost; what waited on it fails.
 *
 * The clients on npm keep half an answer of a lost connection for the next one, or let a request wait for ever when
 * the server leaves without a word: with tokens in the answers that is worth these lines. (memjs 1.3.2, the one with add, touch
 * and delete, does both: its `error` keeps `responseBuffer`, its `close` answers nobody. It speaks the binary protocol only,
 * which memcached has deprecated.)
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface MemcachedServer {
  readonly host: string;
  readonly port: number;
  /** What a memcached with an authentication file (-Y) wants to hear first. */
  readonly login: { readonly user: string; readonly password: string } | null;
}

interface Answer {
  readonly line: string;
  /** What followed a VALUE line. */
  readonly value: string | null;
}

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

const LINE_BYTES_MAX = 1_024;
const VALUE_BYTES_MAX = 65_536;
const END_OF_VALUE = '\r\nEND\r\n';

export class MemcachedConnection {
  readonly #server: MemcachedServer;
  readonly #answerMsMax: number;
  #socket: Socket | null = null;
  #received = Buffer.alloc(0);
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param answerMsMax a server that owes an answer for so long loses its connection */
  constructor(server: MemcachedServer, answerMsMax: number) {
    this.#server = server;
    this.#answerMsMax = answerMsMax;
  }

  /** Sends one command, the data block of a storage command included, and resolves with the first line of its answer. */
  request(command: string): Promise<Answer> {
    const socket = this.#socket ?? this.#open();
    return this.#send(socket, command);
  }

  close(): void {
    this.#lose(new Error('it was closed here'));
  }

  #send(socket: Socket, command: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#waiting.length === 1) this.#restartTimer();
      socket.write(`${command}\r\n`);
    });
  }

  #open(): Socket {
    const { host, port, login } = this.#server;
    const socket = connect({ host, port, noDelay: true });
    this.#socket = socket;
    // A connection that was lost already has nothing to say about the one after it.
    const lose = (error: Error): void => (this.#socket === socket ? this.#lose(error) : undefined);
    socket.on('error', lose);
    socket.on('close', () => lose(new Error('the connection was closed')));
    socket.on('data', (bytes) => {
      if (this.#socket === socket) this.#receive(bytes);
    });
    if (login !== null) this.#logIn(socket, `${login.user} ${login.password}`);
    return socket;
  }

  #logIn(socket: Socket, words: string): void {
    this.#send(socket, `set login 0 0 ${Buffer.byteLength(words)}\r\n${words}`).then(
      ({ line }) => (line === 'STORED' ? undefined : this.#lose(new Error('it refuses the user and password'))),
      () => {},
    );
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    try {
      for (let answer = this.#take(); answer !== null; answer = this.#take()) {
        const waiting = this.#waiting.shift();
        if (waiting === undefined) throw new Error('it answers what nobody asked');
        waiting.resolve(answer);
        this.#restartTimer();
      }
    } catch (error) {
      this.#lose(error as Error);
    }
  }

  /** The next whole answer of what was received, or null. */
  #take(): Answer | null {
    const end = this.#received.indexOf('\r\n');
    if (end > LINE_BYTES_MAX || (end < 0 && this.#received.length > LINE_BYTES_MAX)) throw new Error('its answer is too long');
    if (end < 0) return null;
    const line = this.#received.toString('latin1', 0, end);
    const start = end + 2;
    if (!line.startsWith('VALUE ')) return this.#cut(start, { line, value: null });

    const bytes = Number(/^VALUE \S+ \d+ (\d{1,9})$/.exec(line)?.[1] ?? NaN);
    if (!(bytes <= VALUE_BYTES_MAX)) throw new Error('its value has no length, or is too long');
    const whole = start + bytes + END_OF_VALUE.length;
    if (this.#received.length < whole) return null;
    if (this.#received.toString('latin1', start + bytes, whole) !== END_OF_VALUE) throw new Error('its value does not end where it said');
    return this.#cut(whole, { line, value: this.#received.toString('utf8', start, start + bytes) });
  }

  #cut(bytes: number, answer: Answer): Answer {
    this.#received = this.#received.subarray(bytes);
    return answer;
  }

  #restartTimer(): void {
    clearTimeout(this.#timer);
    if (this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => this.#lose(new Error(`it owes an answer for ${this.#answerMsMax} ms`)), this.#answerMsMax);
  }

  #lose(error: Error): void {
    const waiting = this.#waiting;
    this.#socket?.destroy();
    this.#socket = null;
    this.#received = Buffer.alloc(0);
    this.#waiting = [];
    clearTimeout(this.#timer);
    for (const { reject } of waiting) reject(error);
  }
}
