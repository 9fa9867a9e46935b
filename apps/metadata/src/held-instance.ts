/**
 * One instance as the service holds it: its facts, and the documents that were made from them, ready to be sent. Facts never
 * change; when the instance does, another of these takes this one's place, and its documents go with it.
 */
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import type { MetadataDocument } from './metadata-document.ts';

/** A guest reads a few of some three hundred paths. */
export const DOCUMENTS_MAX = 64;
/** What is larger (user data) is made at each request: copying it costs as much. */
export const DOCUMENT_BYTES_MAX = 32_768;
/** What a path and the objects around a document take, about. */
const DOCUMENT_OVERHEAD_BYTES = 512;
const FACTS_OVERHEAD_BYTES = 4_096;

export class HeldInstance {
  readonly facts: InstanceFacts;
  readonly #documents = new Map<string, MetadataDocument>();
  #bytes: number;

  constructor(facts: InstanceFacts) {
    this.facts = facts;
    this.#bytes = FACTS_OVERHEAD_BYTES + JSON.stringify(facts).length;
  }

  /** About how much memory it takes. */
  get bytes(): number {
    return this.#bytes;
  }

  document(path: string): MetadataDocument | undefined {
    return this.#documents.get(path);
  }

  /** Keeps it for the next request of that path; of many, the oldest goes. */
  keep(path: string, document: MetadataDocument): void {
    if (document.bytes > DOCUMENT_BYTES_MAX || this.#documents.has(path)) return;
    const [oldest] = this.#documents;
    if (oldest !== undefined && this.#documents.size >= DOCUMENTS_MAX) {
      this.#documents.delete(oldest[0]);
      this.#bytes -= sizeOf(...oldest);
    }
    this.#documents.set(path, document);
    this.#bytes += sizeOf(path, document);
  }
}

function sizeOf(path: string, { bytes }: MetadataDocument): number {
  return DOCUMENT_OVERHEAD_BYTES + path.length + bytes;
}
