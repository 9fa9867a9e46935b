/** The REST API as a test's user calls it. Every answer comes in time and is JSON, or the test fails. */
import assert from 'node:assert/strict';

/** No request may hang: what is not answered within this has failed the test. */
const ANSWER_MS_MAX = 15_000;
const HOST_KNOWN_MS_MAX = 30_000;

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

export interface ServerView {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly 'OS-EXT-SRV-ATTR:host'?: string;
}

export type Protocol = 'vnc' | 'serial' | 'spice';

export class ComputeClient {
  readonly #base: string;
  readonly #token: string;

  constructor(base: string, token = 'admin:demo') {
    this.#base = `${base}/v2.1`;
    this.#token = token;
  }

  async request(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(this.#base + path, {
      method,
      headers: { 'x-auth-token': this.#token, 'openstack-api-version': 'compute 2.90', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
  }

  async createServer(name: string, options: Record<string, unknown> = {}): Promise<string> {
    const { status, body } = await this.request('POST', '/servers', { server: { name, imageRef: '', flavorRef: '1', networks: 'none', ...options } });
    assert.equal(status, 202, JSON.stringify(body));
    return (body['server'] as { id: string }).id;
  }

  /** The same as soon as its host counts: from its agent's first report, which comes up to some seconds after the agent is ready. */
  async createServerOnceHostIsKnown(name: string, options: Record<string, unknown> = {}): Promise<string> {
    for (const deadline = Date.now() + HOST_KNOWN_MS_MAX; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
      try {
        return await this.createServer(name, options);
      } catch (error) {
        if (Date.now() > deadline || !/has(?: not)? reported lately/.test((error as Error).message)) throw error;
      }
    }
  }

  async listServers(): Promise<readonly ServerView[]> {
    const { status, body } = await this.request('GET', '/servers/detail');
    assert.equal(status, 200, JSON.stringify(body));
    return body['servers'] as ServerView[];
  }

  async awaitActive(id: string, timeoutMs = 30_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const { body } = await this.request('GET', `/servers/${id}`);
      const status = (body['server'] as ServerView | undefined)?.status;
      if (status === 'ACTIVE') return;
      assert.notEqual(status, 'ERROR', JSON.stringify(body));
      assert.ok(Date.now() < deadline, `server ${id} is still ${status}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  requestConsole(id: string, protocol: Protocol): Promise<Answer> {
    const type = { vnc: 'novnc', serial: 'serial', spice: 'spice-html5' }[protocol];
    return this.request('POST', `/servers/${id}/remote-consoles`, { remote_console: { protocol, type } });
  }

  async consoleUrl(id: string, protocol: Protocol): Promise<string> {
    const { status, body } = await this.requestConsole(id, protocol);
    assert.equal(status, 200, JSON.stringify(body));
    return (body['remote_console'] as { url: string }).url;
  }
}
