/**
 * QMP, QEMU's control protocol: a line of JSON each way. One connection a machine, held as long as the agent
 * lives; its end is how the agent learns that the machine died.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { ServiceError } from '@gatehouse/errors/service-error';

export interface QmpClient {
  /** The command's `return`. Throws ServiceError UNAVAILABLE when the machine is gone or does not answer in time. */
  command(name: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;
  readonly isOpen: boolean;
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
  close(): void;
}

const ANSWER_TIMEOUT_MS = 5_000;
/** The longest line that is taken; QEMU's own answers to what is asked here are below 1 KB. */
const LINE_BYTES_MAX = 256 * 1024;
const WAITING_MAX = 32;

interface Waiting {
  resolve(value: unknown): void;
  reject(error: ServiceError): void;
  readonly timer: NodeJS.Timeout;
}

/** Connects and agrees on capabilities. A second client of one machine would wait in silence, so this fails after 5 s. */
export async function connectQmp(socketPath: string): Promise<QmpClient> {
  const socket = connect(socketPath);
  const connection = new QmpConnection(socket);
  try {
    await connection.greeted();
    await connection.command('qmp_capabilities');
    return connection;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

class QmpConnection implements QmpClient {
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #text = '';

  /** The greeting waits under an id that no command has. */
  static readonly #GREETING = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', () => {}); // 'close' follows
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#failAll();
        resolve();
      });
    });
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed;
  }

  async greeted(): Promise<void> {
    await this.#answerTo(QmpConnection.#GREETING, 'its greeting');
  }

  async command(name: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (!this.isOpen) throw gone();
    if (this.#waiting.size >= WAITING_MAX) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `${WAITING_MAX} commands wait for this machine already`);
    }
    const id = this.#nextId++;
    const answer = this.#answerTo(id, name);
    this.#socket.write(`${JSON.stringify({ execute: name, arguments: args, id })}\n`);
    return answer;
  }

  close(): void {
    this.#socket.destroy();
  }

  #answerTo(id: number, what: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new ServiceError('UNAVAILABLE', `the machine did not answer ${what} within ${ANSWER_TIMEOUT_MS} ms`));
      }, ANSWER_TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  #take(text: string): void {
    this.#text += text;
    let end = this.#text.indexOf('\n');
    while (end >= 0) {
      this.#takeLine(this.#text.slice(0, end));
      this.#text = this.#text.slice(end + 1);
      end = this.#text.indexOf('\n');
    }
    if (this.#text.length > LINE_BYTES_MAX) this.#socket.destroy();
  }

  #takeLine(line: string): void {
    const message = parse(line);
    if (message === null) {
      this.#socket.destroy();
      return;
    }
    if ('QMP' in message) this.#settle(QmpConnection.#GREETING, (waiting) => waiting.resolve(message.QMP));
    else if (typeof message.id !== 'number') return; // an event
    else if ('error' in message) this.#settle(message.id, (waiting) => waiting.reject(refusal(message.error)));
    else this.#settle(message.id, (waiting) => waiting.resolve(message.return));
  }

  #settle(id: number, act: (waiting: Waiting) => void): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    act(waiting);
  }

  #failAll(): void {
    for (const id of [...this.#waiting.keys()]) this.#settle(id, (waiting) => waiting.reject(gone()));
  }
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function gone(): ServiceError {
  return new ServiceError('UNAVAILABLE', 'the machine has ended or cannot be reached');
}

function refusal(error: unknown): ServiceError {
  const words = typeof error === 'object' && error !== null && 'desc' in error ? String(error.desc) : 'no reason given';
  return new ServiceError('FAILED_PRECONDITION', `the machine refused a command: ${words.slice(0, 300)}`);
}
