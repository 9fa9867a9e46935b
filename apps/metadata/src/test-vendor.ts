/** A vendor's service as tests need it: it answers as it is told, and remembers what it was asked. */
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface Question {
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}

export interface Vendor {
  readonly url: string;
  readonly questions: readonly Question[];
  close(): Promise<void>;
}

export type Answering = (response: ServerResponse, question: Question) => void;

/** `pem`: certificate and key, for one that speaks TLS. */
export async function startVendor(answer: Answering, pem?: { readonly cert: Buffer; readonly key: Buffer }): Promise<Vendor> {
  const questions: Question[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const question = { method: request.method ?? '', headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString()) as unknown };
      questions.push(question);
      answer(response, question);
    });
  };
  const server: Server = pem === undefined ? createServer(listener) : createTlsServer(pem, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${pem === undefined ? 'http' : 'https'}://127.0.0.1:${port}/vendor`,
    questions,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

export const sayJson = (value: unknown, headers: Readonly<Record<string, string>> = {}, status = 200): Answering => (response) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
};
