/**
 * The levels that a process's clients speak: as a setting says, or `auto`, the oldest that lives in the fleet.
 *
 * consoleauth knows the fleet: services report their contracts' versions to it. Until it has answered, and where it
 * is older than `levels` itself, `auto` means <major>.0. A lower level is taken at once, a higher one only when every
 * answer of a minute agreed: a consoleauth of 3.0 does not report itself, and shows only when it is the one asked.
 */
import { isServiceError } from '@gatehouse/errors/service-error';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { parseLevel } from '@gatehouse/rpc/level';
import type { Pin } from '@gatehouse/rpc/level';
import type { RpcLog, Transport } from '@gatehouse/rpc/transport';
import { consoleauth } from './consoleauth.ts';

export const AUTO = 'auto';
export const RAISE_AFTER_MS = 60_000;
const ASK_TIMEOUT_MS = 4_000;

/** Topic -> the oldest live version of its contract. */
export type FleetLevels = Readonly<Record<string, string>>;

export interface PinSettings {
  readonly rpcPinConsoleauth?: string;
  readonly rpcPinCompute?: string;
  readonly rpcPinConsoleProxy?: string;
}

const SETTINGS: Readonly<Record<string, readonly [key: keyof PinSettings, variable: string]>> = {
  consoleauth: ['rpcPinConsoleauth', 'GATEHOUSE_RPC_PIN_CONSOLEAUTH'],
  compute: ['rpcPinCompute', 'GATEHOUSE_RPC_PIN_COMPUTE'],
  'console-proxy': ['rpcPinConsoleProxy', 'GATEHOUSE_RPC_PIN_CONSOLE_PROXY'],
};

/** Asks consoleauth, whatever level its other clients are pinned to; nothing where it is too old to know. */
export function askConsoleauth(transport: Transport): () => Promise<FleetLevels> {
  const client = createClient(consoleauth, transport, { timeoutMs: ASK_TIMEOUT_MS, retries: 0 });
  return async () => {
    try {
      return await client.levels({}, newContext({ timeoutMs: ASK_TIMEOUT_MS }));
    } catch (error) {
      if (isServiceError(error) && error.code === 'UNIMPLEMENTED') return {};
      throw error;
    }
  };
}

export class FleetPins {
  readonly #settings: PinSettings;
  readonly #ask: () => Promise<FleetLevels>;
  readonly #clock: { now(): Date };
  readonly #log: RpcLog;
  readonly #autos = new Map<string, AutoPin>();

  constructor(settings: PinSettings, ask: () => Promise<FleetLevels>, clock: { now(): Date }, log: RpcLog) {
    this.#settings = settings;
    this.#ask = ask;
    this.#clock = clock;
    this.#log = log;
  }

  /** For createClient, which refuses a level that its contract never had. */
  of({ topic, version }: { readonly topic: string; readonly version: string }): Pin {
    const [key, variable] = SETTINGS[topic] ?? [];
    const level = (key && this.#settings[key]) ?? AUTO;
    if (level !== AUTO) return { level, setBy: `${variable}=${level}` };
    const known = this.#autos.get(topic) ?? new AutoPin(version, variable ?? topic);
    this.#autos.set(topic, known);
    return known;
  }

  /** Asks once, when some level is `auto`; to be called every few seconds. @throws ServiceError when nobody answers: the levels stay */
  async refresh(): Promise<void> {
    if (this.#autos.size === 0) return;
    const levels = await this.#ask();
    const now = this.#clock.now().getTime();
    for (const [topic, pin] of this.#autos) {
      const was = pin.level;
      pin.hear(levels[topic], now);
      if (pin.level !== was) this.#log.info({ topic, was, level: pin.level }, 'requests speak another level of their contract from now on');
    }
  }
}

class AutoPin implements Pin {
  readonly setBy: string;
  readonly #major: number;
  readonly #newest: number;
  #minor = 0;
  /** The lowest that was heard since, all of it above what is spoken. */
  #rising: { readonly minor: number; readonly sinceMs: number } | null = null;

  constructor(version: string, variable: string) {
    [this.#major, this.#newest] = parseLevel(version) ?? [0, 0];
    this.setBy = `${variable}=${AUTO}`;
  }

  get level(): string {
    return `${this.#major}.${this.#minor}`;
  }

  hear(version: string | undefined, nowMs: number): void {
    const heard = this.#minorOf(version);
    if (heard <= this.#minor) {
      this.#minor = heard;
      this.#rising = null;
      return;
    }
    this.#rising = { minor: Math.min(heard, this.#rising?.minor ?? heard), sinceMs: this.#rising?.sinceMs ?? nowMs };
    if (nowMs - this.#rising.sinceMs < RAISE_AFTER_MS) return;
    this.#minor = this.#rising.minor;
    this.#rising = null;
  }

  /** 0 where nobody lives or the oldest is of another major version; never above our own. */
  #minorOf(version: string | undefined): number {
    const [major, minor] = parseLevel(version ?? '') ?? [-1, 0];
    return major === this.#major ? Math.min(minor, this.#newest) : 0;
  }
}
