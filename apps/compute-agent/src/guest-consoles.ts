/**
 * The consoles of this host's guests: who may open them, who has them open, and how they end.
 *
 * No caller is believed about a console: an attach is asked of consoleauth, and the port it names must still be a console
 * of that instance at that moment. While a guest is being ended its consoles are shut: whoever comes meanwhile is told
 * why, instead of being cut off a moment later.
 */
import type { Duplex } from 'node:stream';
import { ConsoleEnded } from '@gatehouse/console-stream/console-ended';
import type { AttachOpen } from '@gatehouse/console-stream/attach-call';
import type { GuestConsole } from '@gatehouse/console-stream/open-console';
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import { END_REASONS, endingOf } from '@gatehouse/errors/endings';
import type { EndReason } from '@gatehouse/errors/endings';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import type { ConsoleSession } from '@gatehouse/objects/console-session';
import type { Client } from '@gatehouse/rpc/client';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Logger } from '@gatehouse/runtime/logger';
import { AttachQuestions } from './attach-questions.ts';
import type { Driver } from './drivers/driver.ts';
import type { SerialLines } from './serial-lines.ts';
import { SpiceSessions } from './spice-sessions.ts';

export interface GuestConsolesParts {
  readonly host: string;
  readonly driver: Driver;
  readonly lines: SerialLines;
  readonly consoleAuth: Pick<Client<typeof consoleauth>, 'authorize' | 'attach' | 'attachAll'>;
  readonly log: Logger;
}

// As Nova's API strips them: everything below space but tab and newline.
const CONTROL_CHARACTERS = /[\x00-\x08\x0b-\x1f]/g;

export class GuestConsoles {
  readonly #parts: GuestConsolesParts;
  /** Open graphical consoles; serial ones are with the lines. */
  readonly #streams = new Map<string, Set<Duplex>>();
  /** Guests that are being ended, and why. */
  readonly #shut = new Map<string, EndReason>();
  readonly #spice = new SpiceSessions();
  readonly #questions: AttachQuestions;

  constructor(parts: GuestConsolesParts) {
    this.#parts = parts;
    this.#questions = new AttachQuestions(parts.host, parts.consoleAuth);
  }

  /** One of the guest's consoles of that type, reserved and with its access URL. Throws INVALID_ARGUMENT when it has none, and as consoleauth. */
  async authorize(instanceUuid: string, consoleType: ConsoleType, access: ConsoleSession['access'], context: RequestContext): Promise<ConsoleConnection> {
    this.#refuseIfShut(instanceUuid);
    const connections = await this.#parts.driver.consoles(instanceUuid, consoleType);
    if (connections.length === 0) throw new ServiceError('INVALID_ARGUMENT', `Unavailable console type ${consoleType}: the instance has no such console`);
    return this.#parts.consoleAuth.authorize({ connections, access }, context);
  }

  /** Opens the console of a session whose one-time secret consoleauth accepts, or a further channel of one that is open here. Throws UNAUTHENTICATED, NOT_FOUND, UNAVAILABLE. */
  async attach(open: AttachOpen): Promise<GuestConsole> {
    const { driver, lines, log } = this.#parts;
    const { sessionId, offset, signal } = open;
    const joined = this.#spice.consoleOf(open);
    const connection = joined ?? (await this.#questions.ask(open));
    const { instanceUuid, consoleType, port } = connection;
    this.#refuseIfShut(instanceUuid);
    if (!(await this.confirm(connection))) {
      throw new ServiceError('NOT_FOUND', `Instance ${instanceUuid} has no ${consoleType} console ${port} any more`);
    }
    // The session's lines are its proxy's.
    if (joined === null) log.debug({ sessionId, instanceUuid, consoleType, port }, 'a console session attaches');
    const opened = consoleType === 'serial'
      ? await lines.attach(instanceUuid, port, offset)
      : { stream: await driver.open(instanceUuid, consoleType, port, { signal }), offset: 0 };
    try {
      this.#refuseIfShut(instanceUuid);
    } catch (error) {
      opened.stream.on('error', () => {}).destroy();
      throw error;
    }
    if (consoleType !== 'serial') this.#remember(instanceUuid, opened.stream);
    if (joined !== null) this.#spice.add(sessionId, opened.stream);
    else if (consoleType === 'spice-html5') this.#spice.begin(open, connection, opened.stream);
    return opened;
  }

  /** Whether this very console is one of the guest's at this moment: by TCP another instance may have the port by now. */
  async confirm(connection: ConsoleConnection): Promise<boolean> {
    const { host, driver } = this.#parts;
    const { instanceUuid, consoleType } = connection;
    if (connection.host !== host || this.#shut.has(instanceUuid) || (await driver.powerState(instanceUuid)) !== 'running') return false;
    const consoles = await driver.consoles(instanceUuid, consoleType);
    return consoles.some((console) => isSameConsole(console, connection));
  }

  /**
   * The last `length` lines (all when null) of what the guest's first serial port printed lately, readable: without control
   * characters. Throws NOT_FOUND when there is no such guest, or it has no serial port.
   */
  async output(instanceUuid: string, length: number | null): Promise<string> {
    const { driver, lines } = this.#parts;
    const [first] = await driver.consoles(instanceUuid, 'serial');
    const bytes = first?.options['transport'] === 'tcp' ? await driver.serialLog(instanceUuid) : await lines.output(instanceUuid, first?.port ?? null);
    const text = bytes.toString('utf8').replace(CONTROL_CHARACTERS, '');
    if (length === null) return text;
    return length === 0 ? '' : text.split('\n').slice(-length).join('\n');
  }

  /** Ends the guest's open consoles with that reason and keeps them shut while `work` ends the guest. */
  async whileShut(instanceUuid: string, reason: EndReason, work: () => Promise<void>): Promise<void> {
    this.#shut.set(instanceUuid, reason);
    try {
      await this.end(instanceUuid, reason);
      await work();
    } finally {
      this.#shut.delete(instanceUuid);
    }
  }

  async end(instanceUuid: string, reason: EndReason): Promise<void> {
    for (const stream of [...(this.#streams.get(instanceUuid) ?? [])]) stream.destroy(new ConsoleEnded(reason));
    await this.#parts.lines.closeAll(instanceUuid, reason);
  }

  #refuseIfShut(instanceUuid: string): void {
    const reason = this.#shut.get(instanceUuid);
    if (reason !== undefined) throw new ServiceError('UNAVAILABLE', `${endingOf(reason).words} Its consoles are closed at the moment.`);
  }

  #remember(instanceUuid: string, stream: Duplex): void {
    const streams = this.#streams.get(instanceUuid) ?? new Set();
    this.#streams.set(instanceUuid, streams.add(stream));
    stream.once('close', () => {
      streams.delete(stream);
      if (streams.size === 0 && this.#streams.get(instanceUuid) === streams) this.#streams.delete(instanceUuid);
    });
  }
}

/** A reason that came over a wire, as one that is known here. */
export function endReasonOf(reason: string): EndReason {
  return END_REASONS.find((known) => known === reason) ?? 'console_gone';
}

function isSameConsole(ours: ConsoleConnection, theirs: ConsoleConnection): boolean {
  const differs = (option: string, fallback: string | undefined) => (ours.options[option] ?? fallback) !== (theirs.options[option] ?? fallback);
  if (ours.port !== theirs.port || differs('transport', 'attach') || differs('internal_access_path', undefined)) return false;
  return ours.options['transport'] !== 'tcp' || !differs('address', ours.host);
}
