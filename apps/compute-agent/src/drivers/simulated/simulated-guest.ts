/** A guest made of our own code: a screen one can look at and type into, and serial lines with a shell. */
import type { Duplex } from 'node:stream';
import type { Clock } from '@gatehouse/runtime/clock';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Instance } from '@gatehouse/objects/instance';
import { serialPortCount } from '@gatehouse/objects/serial-port-count';
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

export type RefusalListener = (instanceUuid: string, reason: Error) => void;

export class SimulatedGuest {
  readonly uuid: string;
  readonly #name: string;
  readonly #hostname: string;
  readonly #keys: readonly ShellKey[];
  readonly #clock: Clock;
  readonly #onRefused: RefusalListener;
  readonly #screen: Screen;
  readonly #lines: readonly SerialLine[];
  /** The guest's ends of all open consoles. */
  readonly #streams = new Set<Duplex>();
  #bootedAt: Date;

  /** INVALID_ARGUMENT for metadata that no guest can be made from. */
  constructor(instance: Instance, clock: Clock, onRefused: RefusalListener) {
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
    this.#lines = Array.from({ length: lines }, (_, ordinal) => new SerialLine(host, ordinal));
  }

  get serialPorts(): number {
    return this.#lines.length;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** RESOURCE_EXHAUSTED when too many look already. */
  openScreen(): Duplex {
    if (this.#screen.viewerCount >= VIEWERS_MAX) {
      throw new ServiceError('RESOURCE_EXHAUSTED', `the screen has ${VIEWERS_MAX} viewers, as many as it serves`);
    }
    const [inside, outside] = this.#newStream();
    serveRfb(this.#screen, inside, (reason) => this.#onRefused(this.uuid, reason));
    return outside;
  }

  /** NOT_FOUND for a port that the guest has not, PORT_IN_USE for one that is open. */
  openSerial(port: number): Duplex {
    const line = this.#lines[port];
    if (line === undefined) {
      throw new ServiceError('NOT_FOUND', `the guest has no serial port ${port}; it has ${this.serialPorts}, counted from 0`);
    }
    if (line.plugged) throw new ServiceError('PORT_IN_USE', `serial port ${port} is open already; it serves one at a time`);
    const [inside, outside] = this.#newStream();
    line.plug(inside);
    return outside;
  }

  /** Ends every open console: whoever reads one still gets what was on its way, then the end. */
  stop(): void {
    for (const stream of this.#streams) stream.end();
  }

  #newStream(): [Duplex, Duplex] {
    const [inside, outside] = streamPair();
    this.#streams.add(inside);
    inside.on('close', () => this.#streams.delete(inside));
    return [inside, outside];
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
