/**
 * What a WebSocket must pass before anybody is asked about its token: its page's Origin, and what one address may have at a
 * time. So neither a foreign page nor a flood of bad tokens costs consoleauth anything, or keeps others out.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import { AddressBound } from './address-bound.ts';
import { originPolicy, type CheckOrigin, type OriginSettings } from './origin-policy.ts';
import { TrustedProxies, type Arrival, type ArrivingRequest } from '@gatehouse/runtime/trusted-proxies';

export interface AdmissionSettings extends OriginSettings {
  /** Balancers: addresses and networks. */
  readonly trustedProxies: readonly string[];
  /** WebSockets of one address at one time. */
  readonly proxyConnectionsPerAddress: number;
  /** Of these, those that are being let in. */
  readonly proxyOpeningPerAddress: number;
}

/** A client's place; both may be said in any order, and more than once. */
export interface Place {
  /** It was let in, or turned away. */
  judged(): void;
  /** Its connection is closed. */
  left(): void;
}

export class Admission {
  readonly #trusted: TrustedProxies;
  readonly #checkOrigin: CheckOrigin;
  readonly #connections: AddressBound;
  readonly #opening: AddressBound;

  /** @throws ServiceError INVALID_ARGUMENT naming a setting that cannot be understood */
  constructor(settings: AdmissionSettings) {
    this.#trusted = new TrustedProxies(settings.trustedProxies);
    this.#checkOrigin = originPolicy(settings);
    this.#connections = new AddressBound(settings.proxyConnectionsPerAddress);
    this.#opening = new AddressBound(settings.proxyOpeningPerAddress);
  }

  isBalancer(address: string): boolean {
    return this.#trusted.trusts(address);
  }

  arrivalOf(request: ArrivingRequest): Arrival {
    return this.#trusted.arrivalOf(request);
  }

  /** @throws ServiceError PERMISSION_DENIED for a page that may not, RESOURCE_EXHAUSTED for an address that has enough */
  admit(arrival: Arrival, origin: string | undefined): Place {
    const refusal = this.#checkOrigin(origin, arrival);
    if (refusal !== null) throw new ServiceError('PERMISSION_DENIED', refusal);
    const left = this.#connections.take(arrival.clientAddress);
    if (left === null) throw new ServiceError('RESOURCE_EXHAUSTED', 'Your address has as many consoles open here as it may; close one first.');
    const judged = this.#opening.take(arrival.clientAddress);
    if (judged === null) {
      left();
      throw new ServiceError('RESOURCE_EXHAUSTED', 'Too many consoles are being opened from your address; try again in a moment.');
    }
    return {
      judged,
      left() {
        judged();
        left();
      },
    };
  }
}
