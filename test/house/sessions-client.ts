/** /v1 as a test's user calls it: one user's view of console sessions. */
import assert from 'node:assert/strict';
import { EventReader } from '../../apps/api/src/test-sessions.ts';

const PATH = '/v1/console-sessions';
/** No request may hang. */
const ANSWER_MS_MAX = 45_000;

export interface SessionView {
  readonly id: string;
  readonly state: 'open' | 'ending' | 'ended';
  readonly instance_id: string;
  readonly console_type: string;
  readonly user_id: string | null;
  readonly end_reason: string | null;
  readonly bytes_out: number;
  readonly proxy?: string;
  readonly host?: string;
}

export interface V1Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export class SessionsClient {
  readonly #apiUrl: string;
  readonly #token: string;

  constructor(apiUrl: string, token: string) {
    this.#apiUrl = apiUrl;
    this.#token = token;
  }

  async request(method: string, rest = '', headers: Readonly<Record<string, string>> = {}): Promise<V1Answer> {
    const response = await fetch(`${this.#apiUrl}${PATH}${rest}`, { method, headers: { 'x-auth-token': this.#token, ...headers }, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as V1Answer['body']) };
  }

  async list(query = ''): Promise<readonly SessionView[]> {
    const { status, body } = await this.request('GET', query);
    assert.equal(status, 200, JSON.stringify(body));
    return body['console_sessions'] as SessionView[];
  }

  async show(id: string): Promise<SessionView> {
    const { status, body } = await this.request('GET', `/${id}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body['console_session'] as SessionView;
  }

  /** Ends those that the query names; answers them, ended or not. */
  async endAll(query: string): Promise<readonly SessionView[]> {
    const { status, body } = await this.request('DELETE', query);
    const sessions = body['console_sessions'] as SessionView[];
    assert.equal(status, sessions?.every(({ state }) => state === 'ended') ? 200 : 202, JSON.stringify(body));
    return sessions;
  }

  /** From now on, or behind the event of this id; resolves when it has begun. */
  async watch(lastId = '', query = ''): Promise<EventReader> {
    const headers = { 'x-auth-token': this.#token, ...(lastId === '' ? {} : { 'last-event-id': lastId }) };
    const reader = new EventReader(`${this.#apiUrl}${PATH}/events${query}`, headers);
    const { statusCode } = await reader.response;
    assert.equal(statusCode, 200);
    for (const until = Date.now() + ANSWER_MS_MAX; reader.lastId === ''; await new Promise((resolve) => setTimeout(resolve, 5))) {
      assert.ok(Date.now() < until, 'the stream of events does not say where it begins');
    }
    return reader;
  }
}

/** What was seen of each session, in order: `connected`, `ending instance_deleted`, ... */
export function storyOf(readers: readonly EventReader[], id: string): readonly string[] {
  const events = readers.flatMap(({ events: seen }) => seen).filter(({ data }) => (data['session'] as SessionView).id === id);
  return events.map(({ event, data }) => (data['reason'] === null ? event : `${event} ${String(data['reason'])}`));
}
