/** A guest made of our own code: a screen one can look at and type into, and serial lines with a shell. */
import type { Duplex } from 'node:stream';
import type { Clock } from '@gatehouse/runtime/clock';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Instance } from '@gatehouse/objects/instance';
import { serialPortCount } from '@gatehouse/objects/serial-port-count';
import { Scrollback } from '../../scrollback.ts';
import { printable } from './guest-words.ts';
import { serveRfb } from './rfb-session.ts';
import { Screen } from './screen.ts';
import { SerialLine } from './serial-line.ts';
import type { Machine, ShellKey } from './shell.ts';
import { streamPair } from './stream-pair.ts';

const VIEWERS_MAX = 64;
const HOSTNAME_CHARACTERS_MAX = 63;
const KEYS_MAX = 100;
const PUBLIC_KEY_CHARACTERS_MAX = 16_384;

const LOG_BYTES = 64 * 1024;

export type RefusalListener = (instanceUuid: string, reason: Error) => void;

export interface SimulatedGuestOptions {
  readonly clock: Clock;
  readonly onRefused: RefusalListener;
  /** Keep what the first serial port prints. */
  readonly keepsLog: boolean;
}

export class SimulatedGuest {
  readonly uuid: string;
  readonly #name: string;
  readonly #hostname: string;
  readonly #keys: readonly ShellKey[];
  readonly #clock: Clock;
  readonly #onRefused: RefusalListener;
  readonly #screen: Screen;
  readonly #lines: readonly SerialLine[];
  readonly #log: Scrollback | null;
  /** The guest's ends of all open consoles. */
  readonly #streams = new Set<Duplex>();
  #bootedAt: Date;

  /** INVALID_ARGUMENT for metadata that no guest can be made from. */
  constructor(instance: Instance, { clock, onRefused, keepsLog }: SimulatedGuestOptions) {
    const lines = serialPortCount(instance.metadata ?? {});
    this.uuid = instance.uuid;
    this.#name = printable(instance.displayName ?? '') || printable(instance.hostname ?? '') || instance.uuid;
    this.#hostname = hostnameOf(instance);
    this.#keys = keysOf(instance);
    this.#clock = clock;
    this.#onRefused = onRefused;
    this.#bootedAt = clock.now();
    this.#screen = new Screen({ name: this.#name, uuid: this.uuid, bootedAt: () => this.#bootedAt }, clock);
    const host = { machine: this.#machine.bind(this), rebooted: this.#reboot.bind(this) };
    this.#log = keepsLog ? new Scrollback(LOG_BYTES, 0) : null;
    this.#lines = Array.from({ length: lines }, (_, ordinal) => new SerialLine(host, ordinal, ordinal === 0 ? this.#log : null));
  }

  get serialPorts(): number {
    return this.#lines.length;
  }

  /** What the first serial port printed lately; null where nothing is kept. */
  get serialLog(): Buffer | null {
    return this.#log && this.#log.read(this.#log.start, this.#log.end - this.#log.start);
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** RESOURCE_EXHAUSTED when too many look already. */
  openScreen(): Duplex {
    if (this.#screen.viewerCount >= VIEWERS_MAX) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `the screen has ${VIEWERS_MAX} viewers, as many as it serves`);
    }
    const [inside, outside] = streamPair();
    this.#keep(inside);
    serveRfb(this.#screen, inside, (reason) => this.#onRefused(this.uuid, reason));
    return outside;
  }

  /** NOT_FOUND for a port that the guest has not, PORT_IN_USE for one that is open. */
  openSerial(port: number): Duplex {
    const [inside, outside] = streamPair();
    this.plugSerial(port, inside);
    return outside;
  }

  /** Plugs a stream into a serial port; fails as openSerial does. */
  plugSerial(port: number, cable: Duplex): void {
    const line = this.#lines[port];
    if (line === undefined) {
      throw new ServiceError('NOT_FOUND', `the guest has no serial port ${port}; it has ${this.serialPorts}, counted from 0`);
    }
    if (!line.plug(cable)) throw new ServiceError('PORT_IN_USE', `serial port ${port} is open already; it serves one at a time`);
    this.#keep(cable);
  }

  /** Ends every open console: whoever reads one still gets what was on its way, then the end. */
  stop(): void {
    for (const stream of this.#streams) stream.end();
  }

  #keep(stream: Duplex): void {
    this.#streams.add(stream);
    stream.on('close', () => this.#streams.delete(stream));
  }

  #machine(device: string, history: readonly string[]): Machine {
    return {
      name: this.#name,
      uuid: this.uuid,
      hostname: this.#hostname,
      keys: this.#keys,
      bootedAt: this.#bootedAt,
      now: this.#clock.now(),
      device,
      sessions: this.#lines.filter((line) => line.plugged).length,
      history,
    };
  }

  #reboot(): void {
    this.#bootedAt = this.#clock.now();
    for (const line of this.#lines) line.restarted();
  }
}

function hostnameOf(instance: Instance): string {
  for (const candidate of [instance.hostname, instance.displayName]) {
    const name = (candidate ?? '')
      .toLowerCase()
      .replace(/[^a-z0-9.-]+/g, '-')
      .slice(0, HOSTNAME_CHARACTERS_MAX)
      .replace(/^[.-]+|[.-]+$/g, '');
    if (name !== '') return name;
  }
  return `instance-${instance.uuid.slice(0, 8)}`;
}

/** The keys given to the instance when it was made; those that came before key pairs were kept with it have one only. */
function keysOf(instance: Instance): ShellKey[] {
  if (instance.keypairs === undefined && instance.keyData !== null) {
    return [shellKey(instance.keyName ?? 'key', 'ssh', '', instance.keyData)];
  }
  return (instance.keypairs?.objects ?? []).slice(0, KEYS_MAX).map((key) =>
    shellKey(key.name, key.type, key.fingerprint ?? '', key.publicKey ?? ''),
  );
}

function shellKey(name: string, type: string, fingerprint: string, publicKey: string): ShellKey {
  return {
    name: printable(name),
    type: printable(type),
    fingerprint: printable(fingerprint),
    publicKey: printable(publicKey, PUBLIC_KEY_CHARACTERS_MAX),
  };
}
