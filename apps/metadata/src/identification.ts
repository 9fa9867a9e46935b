/** Who asks: the instance that a request speaks for, by the signed headers of its proxy. */
import { singleHeader } from './metadata-request.ts';
import type { MetadataRequest } from './metadata-request.ts';
import type { SignatureCheck } from './signature.ts';

export interface Asker {
  /** As the request says it: any text, until an instance is found by it. */
  readonly instanceUuid: string;
  /** The project that the instance must be of; null where the request came by address, and says none. */
  readonly projectId: string | null;
}

export class Identification {
  readonly #check: SignatureCheck;

  constructor(check: SignatureCheck) {
    this.#check = check;
  }

  /** @throws ServiceError INVALID_ARGUMENT: a header is missing or doubled; PERMISSION_DENIED: the signature is not right */
  async identify(request: MetadataRequest): Promise<Asker> {
    const instanceUuid = singleHeader(request, 'X-Instance-ID');
    const signature = singleHeader(request, 'X-Instance-ID-Signature');
    const projectId = singleHeader(request, 'X-Tenant-ID');
    this.#check(instanceUuid, signature);
    return { instanceUuid, projectId };
  }
}
