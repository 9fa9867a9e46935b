/**
 * Levels: each minor version that a contract has had is a level that a peer may still speak. A level says which
 * methods and arguments its peers know (by their `since`) and in which versions they read objects.
 */
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Manifest } from '@gatehouse/objects/object-version';

export interface Level {
  readonly version: string;
  readonly minor: number;
  /** How codecs write for this level; undefined for our own, where they write as they are defined. */
  readonly to: { readonly version: string; readonly manifest: Manifest } | undefined;
}

/** The part of a contract that says its levels. */
export interface Leveled {
  readonly topic: string;
  readonly version: string;
  readonly objects: Readonly<Record<string, Manifest>>;
}

const LEVEL = /^(\d{1,4})\.(\d{1,4})(?:\.\d{1,4})?$/;

export class Levels {
  readonly own: Level;
  readonly #major: number;
  readonly #byMinor: readonly Level[];
  readonly #byVersion: ReadonlyMap<string, Level>;

  constructor(contract: Leveled) {
    const [major, minor] = parseLevel(contract.version) ?? [0, 0];
    this.#major = major;
    this.#byMinor = Array.from({ length: minor + 1 }, (_, each) => {
      const version = `${major}.${each}`;
      return { version, minor: each, to: each === minor ? undefined : { version, manifest: manifestAt(contract, version) } };
    });
    this.own = this.#byMinor[minor] as Level;
    this.#byVersion = new Map(this.#byMinor.map((level) => [level.version, level]));
  }

  /** The level of a peer that speaks `version`: our own where the peer is newer, null where it is of another major version. */
  of(version: string): Level | null {
    const known = this.#byVersion.get(version);
    if (known !== undefined) return known;
    const [major, minor] = parseLevel(version) ?? [-1, -1];
    return major === this.#major ? (this.#byMinor[minor] ?? this.own) : null;
  }

  /** The newest level below `than` in which an object is no newer than `version`. */
  whoseReaders(object: string, version: string, than: Level): Level | undefined {
    return this.#byMinor.findLast(({ minor, to }) => minor < than.minor && !isNewer(to?.manifest[object], version));
  }
}

/** The objects of a level as its readers know them: what it says itself over what the levels before it said. */
export function manifestAt(contract: Leveled, version: string): Manifest {
  const [, minor] = parseLevel(version) ?? [0, -1];
  const until = Object.entries(contract.objects)
    .map(([level, objects]) => ({ minor: parseLevel(level)?.[1] ?? 0, objects }))
    .filter((each) => each.minor <= minor)
    .toSorted((a, b) => a.minor - b.minor);
  return Object.freeze(Object.assign({}, ...until.map(({ objects }) => objects)) as Manifest);
}

/** Whether a version is of the same major and a later minor. */
export function isNewer(version: unknown, than: unknown): boolean {
  const [major, minor] = parseLevel(String(version)) ?? [0, 0];
  const [otherMajor, otherMinor] = parseLevel(String(than)) ?? [0, 0];
  return major === otherMajor && minor > otherMinor;
}

/** Major and minor; null for what is no version. */
export function parseLevel(version: string): readonly [major: number, minor: number] | null {
  const [, major, minor] = LEVEL.exec(version) ?? [];
  return major === undefined ? null : [Number(major), Number(minor)];
}

/** The level that a client speaks. It is asked before each call, so that it may change while the client is used. */
export interface Pin {
  readonly level: string;
  /** What set it, for the words of a refusal: `GATEHOUSE_RPC_PIN_CONSOLEAUTH=3.0`. */
  readonly setBy?: string;
}

/**
 * The level that a pin names.
 * @throws ServiceError INVALID_ARGUMENT for what is no level, another major version or one newer than the contract
 */
export function pinnedLevel(contract: Leveled, levels: Levels, pin: Pin): Level {
  const { level: version, setBy = `the pin ${version}` } = pin;
  const level = /^\d+\.\d+$/.test(version) ? levels.of(version) : null;
  if (level !== null && level.version === version) return level;
  const oldest = `${contract.version.split('.')[0]}.0`;
  const wanted = oldest === contract.version ? oldest : `a level from ${oldest} to ${contract.version}`;
  throw new ServiceError('INVALID_ARGUMENT', `${setBy}: ${contract.topic} can only be pinned to ${wanted}, not to ${version}`);
}
