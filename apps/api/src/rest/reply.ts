import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** The parts of a Fastify reply that controllers use. */
export interface Reply {
  status(code: number): Reply;
  header(name: string, value: string): Reply;
}

/** The same of one whose answer is written piece by piece. */
export interface StreamReply {
  readonly raw: ServerResponse;
  send(payload: unknown): unknown;
  getHeaders(): OutgoingHttpHeaders;
  /** From here on nobody else writes to `raw`. */
  hijack(): void;
}
