/** A console proxy with a consoleauth of tests behind it, and clients that read what it tells them. */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { Writable } from 'node:stream';
import WebSocket from 'ws';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import type { AuditEvent, AuditFacts } from '@gatehouse/runtime/audit';
import { systemClock } from '@gatehouse/runtime/clock';
import { createLogger } from '@gatehouse/runtime/logger';
import { createMetrics, type Metrics } from '@gatehouse/runtime/metrics';
import { startConsoleProxy } from './app.module.ts';
import { consoleProxyConfig, type ConsoleProxyConfig } from './config.ts';
import { TestConsoleAuth } from './test-console-auth.ts';

export interface ControlMessage {
  readonly type: string;
  readonly [key: string]: unknown;
}

export async function until(condition: () => boolean, what: string, timeoutMs = 8_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited ${timeoutMs} ms in vain: ${what}`);
    await pause(5);
  }
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

/** How a client was closed; also where it read an error before that. */
export function closeOf(socket: WebSocket): Promise<Closed> {
  return new Promise((resolve) => socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })));
}

export class TestClient {
  readonly socket: WebSocket;
  readonly messages: ControlMessage[] = [];
  readonly data: Buffer[] = [];
  readonly closed: Promise<Closed>;

  constructor(url: string, protocols: readonly string[]) {
    this.socket = new WebSocket(`${url.replace('http', 'ws')}/websockify`, [...protocols]);
    this.socket.on('message', (bytes: Buffer, binary: boolean) => {
      if (binary) this.data.push(bytes);
      else this.messages.push(JSON.parse(bytes.toString()) as ControlMessage);
    });
    this.socket.on('error', () => {});
    this.closed = closeOf(this.socket);
  }

  get text(): string {
    return Buffer.concat(this.data).toString();
  }

  /** The session's message, once it is there. */
  async session(): Promise<ControlMessage> {
    await until(() => this.messages.some(({ type }) => type === 'session'), 'the session message');
    return this.messages.find(({ type }) => type === 'session')!;
  }

  warnings(): ControlMessage[] {
    return this.messages.filter(({ type }) => type === 'warning');
  }
}

export class TestProxies {
  readonly transport: Transport = createMemoryTransport();
  readonly auth = new TestConsoleAuth();
  readonly audited: (AuditFacts & { readonly event: AuditEvent })[] = [];
  readonly #apps = new Map<string, App>();
  logged = '';

  /** Speaks the newest level at once, as after its first minute. */
  async start(name: string, settings: Partial<ConsoleProxyConfig> = {}): Promise<Metrics> {
    const config = { ...consoleProxyConfig.parse({ proxyPort: '0', proxyName: name, proxyDrain: '0', rpcPinConsoleauth: consoleauth.version }), ...settings };
    const destination = new Writable({ write: (chunk: Buffer, _encoding, done) => ((this.logged += chunk.toString()), done()) });
    const log = createLogger({ service: name, level: 'debug', destination });
    const audit = { write: (event: AuditEvent, facts: AuditFacts) => void this.audited.push({ event, ...facts }), check() {} };
    const metrics = createMetrics('console-proxy');
    this.#apps.set(name, await startConsoleProxy({ config, transport: this.transport, audit, log, metrics, clock: systemClock }));
    return metrics;
  }

  urlOf(name: string): string {
    return this.#apps.get(name)?.addresses[0]?.url ?? assert.fail(`${name} does not run`);
  }

  /** A page: it speaks gatehouse.v1, and shows a grant when it has one. */
  open(name: string, token: string, resume?: unknown): TestClient {
    const grant = typeof resume === 'string' ? [`resume.${resume}`] : [];
    return new TestClient(this.urlOf(name), ['gatehouse.v1', 'binary', `token.${token}`, ...grant]);
  }

  /** A program: it speaks `binary` and gets no grant. */
  openProgram(name: string, token: string): TestClient {
    return new TestClient(this.urlOf(name), ['binary', `token.${token}`]);
  }

  /** As consoleauth asks a proxy to. */
  async endSessions(name: string, sessions: Record<string, string>): Promise<void> {
    await createClient(consoleProxy, this.transport).endSessions({ sessions }, newContext(), { server: name });
  }

  async drain(name: string): Promise<void> {
    const app = this.#apps.get(name);
    this.#apps.delete(name);
    await app?.drain();
  }

  async close(): Promise<void> {
    for (const name of [...this.#apps.keys()]) await this.drain(name);
    await this.transport.close();
  }
}
