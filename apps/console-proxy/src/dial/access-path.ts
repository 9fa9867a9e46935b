/**
 * Consoles behind an `internal_access_path` (XenServer's and Hyper-V's way): the host is asked by HTTP CONNECT for the console of
 * that path, and what follows its answer is the console. The path may hold a host's own secret: it is in no log.
 */
import type { Duplex } from 'node:stream';
import { readThrough } from './handshake-bytes.ts';
import { hostRefusal, WORDS } from './host-refusal.ts';

const HEAD_BYTES_MAX = 16 * 1024;

/**
 * Resolves when the host has let us through; what it sent behind its answer is the console's, and still to be read.
 *
 * @throws ServiceError UNAVAILABLE; its cause says what the host answered
 */
export async function passAccessPath(stream: Duplex, path: string, authority: string): Promise<void> {
  // What stands here becomes a line of HTTP: nothing in it may end that line, or look like its next word.
  if (!/^[\x21-\x7e]+$/.test(path)) throw hostRefusal(WORDS.setup, 'its internal_access_path has a space, a line break or something else that no HTTP target has');
  stream.write(`CONNECT ${path} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  const head = (await readThrough(stream, '\r\n\r\n', HEAD_BYTES_MAX, 'the answer to CONNECT')).toString('latin1');
  const statusLine = head.slice(0, head.indexOf('\r\n'));
  if (/^HTTP\/1\.[01] 2\d\d( |$)/.test(statusLine)) return;
  // It may repeat what it was asked for.
  throw hostRefusal(WORDS.path, `it answered CONNECT with ${JSON.stringify(statusLine.replaceAll(path, '(the path)').slice(0, 100))}`);
}
