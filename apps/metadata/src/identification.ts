/**
 * Who asks. A proxy that shares a secret with this service names the instance and signs it (Nova's scheme); or a guest of a
 * network that the operator trusts is known by its own address. Headers that name an instance are always held to their
 * signature, whoever sent them: one that is wrong is refused, and never made up for by an address.
 */
import type { InstanceFactsStore } from '@gatehouse/cell-db/instance-facts-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import { notFound } from '@gatehouse/instance-metadata/metadata-tree';
import { readAddress } from '@gatehouse/runtime/trusted-proxies';
import type { ArrivingRequest, TrustedProxies } from '@gatehouse/runtime/trusted-proxies';
import { singleHeader, valuesOf } from './metadata-request.ts';
import type { MetadataRequest } from './metadata-request.ts';
import type { RateLimit } from './rate-limit.ts';
import type { RefusedAskers } from './refused-askers.ts';
import type { SignatureCheck } from './signature.ts';

export interface Asker {
  /** As the request says it: any text of at most 255 characters, until an instance is found by it. */
  readonly instanceUuid: string;
  /** The project that the instance must be of; null where the request came by address, and says none. */
  readonly projectId: string | null;
  /** The guest's own address: the one that it is known by, or what its signing proxy says; null where none is known. */
  readonly address: string | null;
  /** Somebody between the guest and its proxy passed the request on. */
  readonly isForwarded: boolean;
}

/** An instance whose id is signed. */
export interface Proven {
  readonly instanceUuid: string;
  readonly projectId: string;
}

/** Whose word counts for what. */
export interface Trust {
  /** Null: no secret is set, and no header is believed. */
  readonly check: SignatureCheck | null;
  /** Whose peers are known by their address. */
  readonly networks: TrustedProxies;
  /** Whose X-Forwarded-For counts. */
  readonly proxies: TrustedProxies;
}

const ID_HEADER = 'X-Instance-ID';
const SIGNATURE_HEADER = 'X-Instance-ID-Signature';
const PROJECT_HEADER = 'X-Tenant-ID';
/** An instance's and a project's columns hold no more. */
const NAME_LENGTH_MAX = 255;

export class Identification {
  readonly #trust: Trust;
  readonly #facts: Pick<InstanceFactsStore, 'findByAddress'>;
  readonly #refused: RefusedAskers;
  /** Of what each address may ask before it is known whose it is. */
  readonly #rates: RateLimit;

  constructor(trust: Trust, facts: Pick<InstanceFactsStore, 'findByAddress'>, refused: RefusedAskers, rates: RateLimit) {
    this.#trust = trust;
    this.#facts = facts;
    this.#refused = refused;
    this.#rates = rates;
  }

  /**
   * @throws ServiceError INVALID_ARGUMENT: a header is missing, doubled or too long; PERMISSION_DENIED: the signature is wrong, or there is
   *   none and the network is not trusted; NOT_FOUND: nobody's address; FAILED_PRECONDITION: several instances'; RESOURCE_EXHAUSTED: refused too often
   */
  async identify(request: MetadataRequest): Promise<Asker> {
    const peer = readAddress(request.raw.socket.remoteAddress ?? '') ?? 'unknown';
    const { clientAddress } = this.#trust.proxies.arrivalOf({ headers: { 'x-forwarded-for': request.headers['x-forwarded-for'] }, socket: request.raw.socket });
    this.#refused.admit(clientAddress);
    try {
      const isSigned = [ID_HEADER, SIGNATURE_HEADER, PROJECT_HEADER].some((name) => valuesOf(request, name).length > 0);
      if (isSigned) return this.#bySignature(request);
      // A proxy is no guest: where it does not say for whom it asks, its own address says nothing.
      const isProxy = this.#trust.proxies.trusts(clientAddress);
      if (!isProxy && this.#trust.networks.trusts(clientAddress)) return await this.#byAddress(request, peer, clientAddress);
      throw this.#unidentified(isProxy);
    } catch (error) {
      this.#refused.note(clientAddress, valuesOf(request, ID_HEADER)[0], error);
      throw error;
    }
  }

  /**
   * Whom a signing proxy names, where nothing about it is out of the way; null: `identify` decides, and says why. Nothing is noted
   * of whoever is refused. @throws ServiceError: as `identify` will
   */
  proven({ headers, socket }: ArrivingRequest): Proven | null {
    const { 'x-instance-id': instanceUuid, 'x-instance-id-signature': signature, 'x-tenant-id': projectId } = headers;
    if (this.#trust.check === null || typeof instanceUuid !== 'string' || typeof signature !== 'string' || typeof projectId !== 'string') return null;
    // Of a header that came twice the values stand side by side.
    if (instanceUuid.length > NAME_LENGTH_MAX || projectId.length > NAME_LENGTH_MAX || projectId.includes(',')) return null;
    this.#refused.admit(this.#trust.proxies.arrivalOf({ headers, socket }).clientAddress);
    this.#trust.check(instanceUuid, signature);
    return { instanceUuid, projectId };
  }

  #bySignature(request: MetadataRequest): Asker {
    const instanceUuid = nameIn(request, ID_HEADER);
    const signature = singleHeader(request, SIGNATURE_HEADER);
    const projectId = nameIn(request, PROJECT_HEADER);
    if (this.#trust.check === null) throw new ServiceError('PERMISSION_DENIED', 'Invalid proxy request signature.');
    this.#trust.check(instanceUuid, signature);
    // The last that is no proxy's is what the signing proxy saw; who stands before that sent the request to it.
    const hops = this.#hops(request);
    return { instanceUuid, projectId, address: readAddress(hops.at(-1) ?? ''), isForwarded: hops.length > 1 };
  }

  async #byAddress(request: MetadataRequest, peer: string, address: string): Promise<Asker> {
    this.#rates.take(`address ${address}`);
    const instanceUuid = await this.#facts.findByAddress(address);
    if (instanceUuid === null) throw notFound();
    return { instanceUuid, projectId: null, address, isForwarded: this.#hops(request).length > (this.#trust.proxies.trusts(peer) ? 1 : 0) };
  }

  #unidentified(isProxy: boolean): ServiceError {
    if (this.#trust.check !== null) return new ServiceError('INVALID_ARGUMENT', `${ID_HEADER} header is missing from request.`);
    if (isProxy) return new ServiceError('INVALID_ARGUMENT', 'X-Forwarded-For header does not say for which guest the proxy asks.');
    return new ServiceError('PERMISSION_DENIED', 'Metadata is for the guests of trusted networks, and this address is of none.');
  }

  /** Through whom it came, by X-Forwarded-For, without the trusted proxies at its end. */
  #hops(request: MetadataRequest): readonly string[] {
    const hops = valuesOf(request, 'X-Forwarded-For').join(',').split(',').map((hop) => hop.trim()).filter((hop) => hop !== '');
    const last = hops.findLastIndex((hop) => !this.#trust.proxies.trusts(readAddress(hop) ?? ''));
    return hops.slice(0, last + 1);
  }
}

function nameIn(request: MetadataRequest, name: string): string {
  const value = singleHeader(request, name);
  if (value.length > NAME_LENGTH_MAX) throw new ServiceError('INVALID_ARGUMENT', `${name} header is longer than ${NAME_LENGTH_MAX} characters.`);
  return value;
}
