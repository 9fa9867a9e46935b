/**
 * Compressed bodies, as kombu makes them for oslo's `kombu_compression`: the header `compression` names the kind and
 * the whole body is compressed, whatever the content type says. Both kinds that oslo can be told to write are read (its
 * `gzip` is zlib's format); none is written, since every reader takes plain bodies, which are oslo's default too.
 *
 * A few bytes can unpack to gigabytes, so nothing unpacks to more than a body may have.
 */
import { unzipSync } from 'node:zlib';
import { ServiceError } from '@gatehouse/errors/service-error';
import { bunzip2 } from './bunzip2.ts';
import { BODY_BYTES_MAX } from './envelope.ts';

const HEADER = 'compression';
const GZIP = 'application/x-gzip';

type Unpack = (body: Uint8Array) => Buffer;
const unzip: Unpack = (body) => unzipSync(body, { maxOutputLength: BODY_BYTES_MAX });
const bunzip: Unpack = (body) => bunzip2(body, BODY_BYTES_MAX);
/** kombu writes the types and reads their short names as well. */
const UNPACKERS: ReadonlyMap<unknown, Unpack> = new Map([
  [GZIP, unzip],
  ['gzip', unzip],
  ['zlib', unzip],
  ['application/x-bz2', bunzip],
  ['bzip2', bunzip],
  ['bzip', bunzip],
]);

type Headers = Readonly<Record<string, unknown>> | undefined;

/**
 * The body as it was before its compression; itself where no header names one.
 * @throws ServiceError INVALID_ARGUMENT for a kind that is not read, and for what does not unpack within BODY_BYTES_MAX
 */
export function unpackBody(body: Buffer, headers: Headers): Buffer {
  const kind = headers?.[HEADER];
  if (kind === undefined || kind === null) return body;
  const unpack = UNPACKERS.get(kind);
  if (unpack === undefined) throw new ServiceError('INVALID_ARGUMENT', `the header ${HEADER}: expected ${GZIP} or application/x-bz2`);
  try {
    return unpack(body);
  } catch (cause) {
    // Both decoders say so with a RangeError.
    const problem = cause instanceof RangeError ? `has more than ${BODY_BYTES_MAX} bytes` : 'is broken';
    throw new ServiceError('INVALID_ARGUMENT', `the compressed body ${problem}`, { cause });
  }
}
