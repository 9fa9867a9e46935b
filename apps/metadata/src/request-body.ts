/**
 * The body of a request, read by who wants it and no sooner: nobody's body is read before it is known who asks. What nobody
 * wants is thrown away as it comes, up to a bound; beyond it, and when it takes too long, the connection ends.
 */
import type { Readable } from 'node:stream';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';

/** A message of HTTP as node gives it. */
export interface Incoming extends Readable {
  /** It has come whole. */
  readonly complete: boolean;
  readonly headers: { readonly 'content-length'?: string | undefined };
  readonly socket: { destroy(): unknown };
}

/** For a body that is wanted, and for one that is not. */
export const BODY_TIMEOUT_MS = 5_000;
/** Most clients write all of it before they read what was answered. */
const UNWANTED_BYTES_MAX = 1_048_576;

/** @throws ServiceError what `tooLarge` makes; DEADLINE_EXCEEDED (408): it did not come in time; CANCELLED: its client left */
export function readBody(incoming: Incoming, bytesMax: number, tooLarge: () => ServiceError, clock: Clock): Promise<Buffer> {
  if (Number(incoming.headers['content-length'] ?? 0) > bytesMax) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (end: () => void): void => {
      cancel();
      incoming.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      end();
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > bytesMax) settle(() => reject(tooLarge()));
      else chunks.push(chunk);
    };
    const onEnd = (): void => settle(() => resolve(Buffer.concat(chunks)));
    const onClose = (): void => settle(() => reject(new ServiceError('CANCELLED', 'the client left before its request was whole')));
    const late = (): void => settle(() => reject(new ServiceError('DEADLINE_EXCEEDED', 'The request took too long.', { details: { status: 408 } })));
    const cancel = clock.after(BODY_TIMEOUT_MS, late);
    incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

/** Throws away what is still to come, so that the answer can be read by clients that write on. */
export function discardRest(incoming: Incoming, clock: Clock): void {
  if (incoming.complete) return;
  let bytes = 0;
  const cancel = clock.after(BODY_TIMEOUT_MS, () => incoming.socket.destroy());
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > UNWANTED_BYTES_MAX) incoming.socket.destroy();
  });
  incoming.once('end', cancel).once('close', cancel).on('error', cancel);
  incoming.resume();
}
