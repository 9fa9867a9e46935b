/** What a server sends back, whatever happened: an answer always leaves, if only to say that it could not be made. */
import { ServiceError } from '@gatehouse/errors/service-error';
import { encodeReply } from './envelope.ts';
import { encodeFailure } from './failure.ts';
import type { Reply } from './transport.ts';

export function refusalReply(error: unknown): Reply {
  return { result: null, failure: encodeFailure(error) };
}

/** The reply's bytes; a result that cannot be sent becomes a failure that says so. */
export function encodeAnswer(msgId: string, reply: Reply, encode: typeof encodeReply = encodeReply): Buffer {
  try {
    return encode(msgId, reply);
  } catch (cause) {
    const words = cause instanceof ServiceError ? cause.message : 'it is no JSON';
    return encode(msgId, refusalReply(new ServiceError('INTERNAL', `the answer cannot be sent: ${words}`, { cause })));
  }
}
