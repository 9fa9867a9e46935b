/** A document at the edge: with its tag, at once or when it changes, and not again to a client that has it. */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { changeWaitOf } from './change-wait.ts';
import type { DocumentRequest, InstanceMetadata } from './instance-metadata.ts';
import { namesTag } from './metadata-document.ts';
import type { MetadataDocument } from './metadata-document.ts';
import type { MetadataRequest } from './metadata-request.ts';

export interface ServedDocument {
  readonly status: number;
  readonly type: string;
  readonly content: string | Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** To a request that reads. @throws ServiceError NOT_FOUND, INVALID_ARGUMENT (query), RESOURCE_EXHAUSTED, UNAVAILABLE (too many wait; vendor data) */
export async function serveDocument(metadata: InstanceMetadata, request: MetadataRequest, facts: InstanceFacts, wanted: DocumentRequest): Promise<ServedDocument> {
  const wait = changeWaitOf(request.url);
  const document = wait === null ? await metadata.document(facts, wanted) : await whileConnected(request, (signal) => metadata.documentAfter(facts, wanted, wait, signal));
  return sentTo(request.headers['if-none-match'], document);
}

function sentTo(known: string | undefined, document: MetadataDocument): ServedDocument {
  const { type, etag } = document;
  if (hasIt(known, document)) return { status: 304, type, content: '', headers: { etag } };
  return { status: 200, type, content: document.content(), headers: { etag } };
}

/** A client that sends this If-None-Match. */
export function hasIt(ifNoneMatch: string | undefined, { etag }: MetadataDocument): boolean {
  return ifNoneMatch !== undefined && (ifNoneMatch === etag || namesTag(ifNoneMatch, etag));
}

/** `work` hears when the client leaves, or that it has left while it was found out who asks. */
async function whileConnected(request: MetadataRequest, work: (signal: AbortSignal) => Promise<MetadataDocument>): Promise<MetadataDocument> {
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  const { socket } = request.raw;
  if (socket.destroyed) leave();
  socket.once('close', leave);
  try {
    return await work(gone.signal);
  } finally {
    socket.off('close', leave);
  }
}
