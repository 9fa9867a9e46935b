/**
 * Vendor data that is asked for: each target is told of the instance what Nova tells it, and what it answers stands under its name. All are
 * asked at once, and an answer is kept for as long as its Cache-Control says: a guest that boots asks for the file several times.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import { VendorDataCache } from './vendor-data-cache.ts';
import type { Kept } from './vendor-data-cache.ts';
import type { VendorDataTarget } from './vendor-data-config.ts';
import { TargetFailure, askTarget } from './vendor-data-request.ts';
import type { TargetLimits } from './vendor-data-request.ts';

/** Of an answer that does not say. */
const FRESH_MS = 15_000;
const FRESH_MS_MAX = 3_600_000;
/** A target that fails is left alone for so long, by each instance's guests. */
const FAILED_MS = 5_000;
/** Both are shared out evenly: a target that hangs must not make the others fail. */
const KEPT_BYTES_MAX = 32 * 1_048_576;
/** Questions at one time; beyond its share a target counts as failed. */
const REQUESTS_MAX = 256;

/** `static` is the operator's own file. */
const TAKEN = 'static';

export interface TargetRules {
  readonly limits: TargetLimits;
  /** A target that fails makes the whole request fail. */
  readonly isFailureFatal: boolean;
}

/** Null: it failed. */
type Outcome = { readonly value: unknown } | null;

/** A target, and what it has answered lately. */
interface Asked extends VendorDataTarget {
  readonly cache: VendorDataCache<Outcome>;
}

export class VendorDataTargets {
  readonly #targets: readonly Asked[];
  readonly #requestsMax: number;
  readonly #rules: TargetRules;
  readonly #clock: Clock;
  readonly #log: Logger;

  /** Warns of each target that stands behind another of its name, and leaves it out. */
  constructor(targets: readonly VendorDataTarget[], rules: TargetRules, clock: Clock, log: Logger) {
    const named = withoutDuplicates(targets, log);
    const shareOf = (whole: number): number => Math.ceil(whole / Math.max(1, named.length));
    this.#targets = named.map((target) => ({ ...target, cache: new VendorDataCache(shareOf(KEPT_BYTES_MAX), clock) }));
    this.#requestsMax = shareOf(REQUESTS_MAX);
    this.#rules = rules;
    this.#clock = clock;
    this.#log = log;
  }

  /** Takes no longer than the limits say in all. @throws ServiceError UNAVAILABLE: a target failed, and that counts */
  async answers(facts: InstanceFacts): Promise<Readonly<Record<string, unknown>>> {
    if (this.#targets.length === 0) return {};
    const body = questionOf(facts);
    const outcomes = await Promise.all(this.#targets.map(async (target) => {
      const key = `${facts.uuid}\n${facts.revision}`;
      return [target.name, await target.cache.get(key, () => this.#ask(target, body, facts.uuid))] as const;
    }));
    const failed = outcomes.find(([, outcome]) => outcome === null);
    if (failed !== undefined && this.#rules.isFailureFatal) {
      throw new ServiceError('UNAVAILABLE', `The vendor data of "${failed[0]}" cannot be had at the moment: ask again.`);
    }
    return Object.fromEntries(outcomes.map(([name, outcome]) => [name, outcome === null ? {} : outcome.value]));
  }

  async #ask(target: Asked, body: string, instanceUuid: string): Promise<Kept<Outcome>> {
    try {
      if (target.cache.flights >= this.#requestsMax) throw new TargetFailure(`${this.#requestsMax} questions are under way`);
      const { value, bytes, freshMs } = await askTarget(target.url, body, this.#rules.limits, this.#clock);
      return { value: { value }, bytes, freshMs: Math.min(freshMs ?? FRESH_MS, FRESH_MS_MAX) };
    } catch (error) {
      const reason = error instanceof TargetFailure ? error.message : 'it could not be asked';
      this.#log.warn({ target: target.name, instanceUuid, reason }, 'a vendor data target gave nothing');
      return { value: null, bytes: 0, freshMs: FAILED_MS };
    }
  }
}

/** The names of Nova's question. Roles of whoever made the instance are not known here. */
function questionOf(facts: InstanceFacts): string {
  return JSON.stringify({
    'project-id': facts.projectId,
    'instance-id': facts.uuid,
    'image-id': facts.imageRef,
    'user-data': facts.userData,
    hostname: facts.hostname,
    metadata: facts.metadata,
    'boot-roles': '',
  });
}

function withoutDuplicates(targets: readonly VendorDataTarget[], log: Logger): readonly VendorDataTarget[] {
  const taken = new Set([TAKEN]);
  return targets.filter(({ name }) => {
    if (taken.has(name)) log.warn({ target: name }, 'GATEHOUSE_VENDOR_DATA_TARGETS has a name twice, or "static": what came first counts');
    return taken.size < taken.add(name).size;
  });
}
