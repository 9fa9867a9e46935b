/** A host of tests that plays a part byte by byte, and a dial to it, as consoleauth would have granted it. */
import { randomUUID } from 'node:crypto';
import { Duplex } from 'node:stream';
import { isServiceError, type ServiceError } from '@gatehouse/errors/service-error';
import { ConsoleConnection, type ConsoleType } from '@gatehouse/objects/console-connection';
import { silentLogger } from '@gatehouse/runtime/logger';
import { GuestConnection } from '../guest-connection.ts';
import { startGuest, type TestGuest } from '../test-guests.ts';
import { dialConsole } from './dial-console.ts';
import { readDialMeans, type DialConfig } from './dial-settings.ts';
import { GreetedHost } from './greeted-host.ts';

/** What the host says (text, byte for byte), how many bytes it waits for, or that it closes. */
export type Part = string | Buffer | number | 'end';

export interface TestHost extends TestGuest {
  /** All that was said to it. */
  readonly heard: Buffer;
}

/** After its part it stays connected, and silent. */
export async function startHost(...parts: Part[]): Promise<TestHost> {
  let heard: Buffer = Buffer.alloc(0);
  const guest = await startGuest((socket) => {
    let waitsFor = 0;
    const left = [...parts];
    const play = (): void => {
      while (left.length > 0) {
        const part = left[0]!;
        if (typeof part === 'number' && heard.length < waitsFor + part) return;
        left.shift();
        if (typeof part === 'number') waitsFor += part;
        else if (part === 'end') socket.end();
        else socket.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part);
      }
    };
    socket.on('data', (bytes: Buffer) => {
      heard = Buffer.concat([heard, bytes]);
      play();
    });
    play();
  });
  return Object.defineProperty(guest, 'heard', { get: () => heard }) as TestHost;
}

export interface TestDial extends Partial<DialConfig> {
  readonly consoleType?: ConsoleType;
  readonly port: number;
  readonly host?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Nobody waits for it any more. */
  readonly gone?: AbortSignal;
}

const PLAIN: DialConfig = { dialTls: 'off', dialTlsCa: null, dialTlsCert: null, dialTlsKey: null, vncAuthSchemes: null, vncPasswordFile: null };

export async function dial({ consoleType = 'novnc', port, host = 'compute-1', options = {}, timeoutMs = 8_000, gone = new AbortController().signal, ...config }: TestDial): Promise<Duplex> {
  const connection = ConsoleConnection.make({
    ...{ instanceUuid: randomUUID(), host, port, consoleType, tokenHash: null, accessUrl: null, expires: null },
    options: { transport: 'tcp', address: '127.0.0.1', ...options },
  });
  const guest = await dialConsole(connection, readDialMeans({ ...PLAIN, ...config }, silentLogger), timeoutMs, gone);
  return guest instanceof GreetedHost ? clientOf(guest) : guest;
}

/** `ending`: why it ended, where that was neither side's own will. */
export type GreetedClient = Duplex & { ending: { readonly reason: string } | null };

/** A host as the client has it that the relay joins to it: what is written here it says, what is read here it hears. */
export function clientOf(host: GreetedHost): GreetedClient {
  let taken = (): void => {};
  const stream = new Duplex({
    allowHalfOpen: false,
    read: () => guest.resume(),
    write: (bytes: Buffer, _encoding, done) => {
      taken = done;
      if (guest.send(bytes)) done();
    },
    final(done) {
      guest.letGo();
      done();
    },
    destroy(error, done) {
      guest.destroy();
      done(error);
    },
  });
  const client = Object.assign(stream, { ending: null }) as GreetedClient;
  let isOver = false;
  const guest: GuestConnection = new GuestConnection(host, {
    output: (whole, start) => stream.push(Buffer.from(whole.subarray(start))),
    taken: () => taken(),
    over(reason) {
      if (isOver) return;
      isOver = true;
      if (reason === 'host_unreachable') return void stream.destroy();
      if (reason !== 'guest_closed') client.ending = { reason };
      stream.push(null);
    },
  });
  return client;
}

export interface Refusal {
  readonly code: string;
  /** For the user. */
  readonly words: string;
  /** For the log. */
  readonly detail: string;
}

/** What a dial is refused with. */
export async function refusalOf(dialled: Promise<Duplex>): Promise<Refusal> {
  const error: unknown = await dialled.then((stream) => (stream.destroy(), null), (thrown: unknown) => thrown);
  if (!isServiceError(error)) throw new Error(`no refusal but ${String(error)}`);
  return { code: error.code, words: error.message, detail: causeOf(error) };
}

const causeOf = ({ cause }: ServiceError): string => (cause instanceof Error ? cause.message : '');

/** All of a stream up to its end. */
export async function readAll(stream: Duplex): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

