/** The console stream's two ends in one process, and what its tests ask of both. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import type { AttachOpen, ConsoleStreamLimits } from './attach-call.ts';
import { attachConsole } from './attach-console.ts';
import type { AttachOptions, AttachedConsole } from './attach-console.ts';
import { encodeRequest } from './attach-messages.ts';
import type { GuestConsole } from './open-console.ts';
import { serveConsoleStream } from './serve-console-stream.ts';
import type { ConsoleStreamServer } from './serve-console-stream.ts';

export const SECRET = 'the-attach-secret';
export const silent = { warn() {}, debug() {} };

export interface Way extends Pick<AttachOptions, 'byteConnection'> {
  /** Where it is false, the host knows of none. */
  readonly sharedStreams?: boolean;
}

export const SHARED: Way = { byteConnection: true };
export const OWN_CALL: Way = { byteConnection: true, sharedStreams: false };
export const IN_THE_CALL: Way = { byteConnection: false };

export class TestStreams {
  readonly #servers: ConsoleStreamServer[] = [];
  readonly #consoles: AttachedConsole[] = [];
  readonly #way: Pick<AttachOptions, 'byteConnection'>;
  readonly #sharedStreams: boolean;

  constructor({ sharedStreams = true, ...way }: Way) {
    this.#way = way;
    this.#sharedStreams = sharedStreams;
  }

  async serve(attach: (open: AttachOpen) => Promise<GuestConsole>, limits: Partial<ConsoleStreamLimits> = {}, listen = '127.0.0.1:0') {
    const server = await serveConsoleStream({ listen, attach, limits, log: silent, sharedStreams: this.#sharedStreams });
    this.#servers.push(server);
    return server;
  }

  async serveGuest(stream: Duplex, offset = 0, limits: Partial<ConsoleStreamLimits> = {}) {
    return this.serve(async ({ attachSecret }) => {
      if (attachSecret !== SECRET) throw new ServiceError('UNAUTHENTICATED', 'this attach secret is unknown or was used');
      return { stream, offset };
    }, limits);
  }

  async attach(server: { endpoint: string }, more: Partial<AttachOptions> = {}): Promise<AttachedConsole> {
    const console = await attachConsole({ endpoint: server.endpoint, sessionId: 's-1', attachSecret: SECRET, ...this.#way, ...more });
    console.on('error', () => {});
    this.#consoles.push(console);
    return console;
  }

  async close(): Promise<void> {
    for (const console of this.#consoles.splice(0)) console.destroy();
    await Promise.all(this.#servers.splice(0).map((server) => server.drain(500)));
  }
}

export function failsWith(code: ErrorCode, words: RegExp) {
  return (error: unknown) => error instanceof ServiceError && error.code === code && words.test(error.message);
}

export async function until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) assert.fail(`not within ${timeoutMs} ms: ${condition.toString()}`);
    await sleep(5);
  }
}

/** Resolves when it is closed, however it came to that: who is cut off may read a reset first. */
export function closeOf(socket: Socket): Promise<void> {
  return socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', () => resolve()));
}

export function openMessage(change: object = {}): Buffer {
  return encodeRequest({ open: { sessionId: 's-1', attachSecret: SECRET, offset: null, windowBytes: 65536, byteConnection: false, ...change } });
}

export function pieces(bytes: Buffer): Buffer[] {
  const sizes = [1, 70_000, 3, 65_536, 200_000, 999];
  const all: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const size = sizes[i % sizes.length]!;
    all.push(bytes.subarray(at, at + size));
    at += size;
  }
  return all;
}

export async function collect(stream: Duplex, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= length) resolve(Buffer.concat(chunks));
    });
  });
}

export function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function hashing() {
  const hash = createHash('sha256');
  let bytes = 0;
  const add = (chunk: Buffer): void => { hash.update(chunk); bytes += chunk.length; };
  return { add, bytes: () => bytes, digest: () => hash.digest('hex') };
}

/** Output as given, input nowhere. */
export function duplexOf(readable: Readable): Duplex {
  const sink = new PassThrough();
  sink.resume();
  return Duplex.from({ readable, writable: sink }) as Duplex;
}
