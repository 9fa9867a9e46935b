/** Requests over kept connections, as cheap as they can be made, for those who send thousands. */
import { Agent, request } from 'node:http';

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  readonly ms: number;
}

export interface HttpCall {
  readonly method?: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** No request may hang. */
const ANSWER_MS_MAX = 30_000;
const CONNECTIONS_MAX = 64;

export class HttpCalls {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS_MAX });

  /** Rejects where there is no answer. */
  send({ method = 'GET', url, headers = {}, body }: HttpCall): Promise<HttpAnswer> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const length = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) };
    const began = performance.now();
    return new Promise((resolve, reject) => {
      const asked = request(url, { method, headers: { ...headers, ...length }, agent: this.#agent, timeout: ANSWER_MS_MAX }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString(), ms: performance.now() - began }));
      });
      asked.on('timeout', () => asked.destroy(new Error(`no answer to ${method} ${url} within ${ANSWER_MS_MAX} ms`)));
      asked.on('error', reject);
      asked.end(payload);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
