/**
 * One client and its console: the splice. Before the console is open it holds what the client already sent, up to a bound,
 * and reads on so far, for only who reads learns that the client has left; afterwards it holds nothing, for each side is read
 * only while the other takes it. It ends once,
 * with a reason, whichever side began, and whoever carries it is told at that moment, whatever the client reads.
 */
import type { Duplex } from 'node:stream';
import { endingOf, type EndReason } from '@gatehouse/errors/endings';
import { ERRORS } from '@gatehouse/errors/error-table';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { GuestConnection, type Guest, type GuestEvents } from './guest-connection.ts';
import { personInputOf, type PersonInput } from './person-input.ts';
import { SessionTimers, type Timed, type TimedReason, type TimerSettings } from './session-timers.ts';
import { inputFilterOf, type InputFilter } from './view-only/input-filter.ts';
import type { Subprotocol } from './websocket/handshake.ts';
import { WebSocketConnection, type WebSocketEnd, type WebSocketEvents } from './websocket/web-socket-connection.ts';

export interface ClientSocket {
  readonly socket: Duplex;
  /** What came after the handshake request in the same read. */
  readonly head: Buffer;
  readonly protocol: Subprotocol | null;
  /** How often the client is asked for a sign of life, milliseconds. */
  readonly pingEveryMs?: number | undefined;
}

/** Who carries the session, from the moment it is claimed. */
export interface Carrier {
  /** The client took over a session that was open before. */
  readonly isResumed: boolean;
  /** What the session has carried so far. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Called once, at the end, whichever side began it. */
  onEnded(reason: string): void;
}

/** Why a console is not opened any more: made once, because an error of its own with its stack would be made for each otherwise. */
export const CLIENT_GONE = new ServiceError('CANCELLED', 'The client left before its console was open.');

const EMPTY = Buffer.alloc(0);
/** Beyond it a client that waits for its console is not read; a handshake of any protocol is shorter. */
const EARLY_BYTES_MAX = 16 * 1024;
/** A browser that leaves a page, also to load it anew, says this. */
const GOING_AWAY = 1001;
const NO_TIMERS: TimerSettings = { idleTimeoutMs: 0, lifetimeMaxMs: 0 };

export class ProxiedSession implements WebSocketEvents, GuestEvents, Timed {
  /** Of the whole session: its further sockets count here too. */
  #carried = { bytesIn: 0, bytesOut: 0 };
  readonly #joined = new Set<ProxiedSession>();
  #connection: WebSocketConnection;
  #controlled: boolean;
  #early: Buffer[] = [];
  #earlyBytes = 0;
  /** Null when nobody opens its console, or it is open. */
  #opening: AbortController | null = null;
  #guest: GuestConnection | null = null;
  #endReason: string | null = null;
  #carrier: Carrier | null = null;
  #canReturn = false;
  #saidGoodbye = false;
  #timers: SessionTimers | null = null;
  /** Null: nobody asks. */
  #input: PersonInput | null = null;
  /** Called when something came of which nobody has asked yet. */
  #heard = (): void => {};
  /** Of a console that may only be looked at. */
  #filter: InputFilter | null = null;

  constructor({ socket, head, protocol, pingEveryMs }: ClientSocket) {
    this.#controlled = protocol === 'gatehouse.v1';
    this.#connection = new WebSocketConnection(socket, head, this, { textAllowed: this.#controlled, pingEveryMs });
  }

  /** Why it has ended; null while it lives. */
  get endReason(): string | null {
    return this.#endReason;
  }

  /** From the client to the guest. */
  get bytesIn(): number {
    return this.#carried.bytesIn;
  }

  /** From the guest to the client. */
  get bytesOut(): number {
    return this.#carried.bytesOut;
  }

  /** Whether the client hears control messages, and so opens sessions with this socket alone. */
  get isControlled(): boolean {
    return this.#controlled;
  }

  /** How many further sockets the session has. */
  get joined(): number {
    return this.#joined.size;
  }

  /** Whether its user holds the grant that opens this session again. */
  get canReturn(): boolean {
    return this.#canReturn;
  }

  /** Whether the browser said that it leaves the page: closed, or loaded anew, which is quick. */
  get saidGoodbye(): boolean {
    return this.#saidGoodbye;
  }

  /** Turn the client away with the error's close code and words; `lastWords` tell a client why that does not show those. */
  refuse(error: ServiceError, lastWords: Buffer | null = null): void {
    if (lastWords !== null && !this.#controlled) this.#connection.send(lastWords);
    this.#finish('refused', ERRORS[error.code].close, error.message);
  }

  /** The client has a session from now on, though its console may not be open yet. */
  carriedBy(carrier: Carrier): void {
    this.#carrier = carrier;
    this.#canReturn = carrier.isResumed;
    this.#carried = { bytesIn: carrier.bytesIn, bytesOut: carrier.bytesOut };
  }

  /** What the client has said before its console is open, as soon as that is enough; or when it ends, or `timeoutMs` pass. */
  async firstBytes(isEnough: (bytes: Buffer) => boolean, timeoutMs: number): Promise<Buffer> {
    let isLate = false;
    const late = setTimeout(() => {
      isLate = true;
      this.#heard();
    }, timeoutMs);
    while (!isLate && this.#endReason === null && !isEnough(Buffer.concat(this.#early))) {
      const heard = new Promise<void>((resolve) => (this.#heard = resolve));
      this.#connection.resume();
      await heard;
    }
    clearTimeout(late);
    return Buffer.concat(this.#early);
  }

  /** Aborted with CLIENT_GONE when the client ends before its console is open. */
  untilOpen(): AbortSignal {
    this.#opening ??= new AbortController();
    if (this.#endReason !== null) this.#opening.abort(CLIENT_GONE);
    return this.#opening.signal;
  }

  /** A further socket of the session that `main` began, on a stream of its own: it counts there, and ends with it. */
  join(main: ProxiedSession, grant: ConsoleGrant, guest: Guest): void {
    main.#joined.add(this);
    this.#carried = main.#carried;
    this.#timers = main.#timers;
    this.#input = main.#input === null ? null : personInputOf(grant.session.consoleType);
    this.#carrier = { isResumed: false, ...this.#carried, onEnded: () => void main.#joined.delete(this) };
    this.begin({ ...grant, resumeGrant: null }, guest, NO_TIMERS);
  }

  /** Join the client to the console it was granted. */
  begin(grant: ConsoleGrant, guest: Guest, timers: TimerSettings): void {
    this.#filter = inputFilterOf(grant.session);
    this.#startTimers(grant, timers);
    this.#tell(sessionMessage(grant));
    if (this.#controlled && grant.resumeGrant !== null) this.#canReturn = true;
    this.#opening = null;
    this.#guest = new GuestConnection(guest, this);
    const early = this.#early.splice(0);
    const taken = early.map((bytes) => this.data(bytes));
    if (taken.every((each) => each)) this.#connection.resume();
  }

  /** End the session; the client reads the reason's words. */
  end(reason: string): void {
    const { close, words } = endingOf(reason);
    this.#finish(reason, close, words);
  }

  /** Tell the client that its session is about to end, or (null) is not after all. */
  warn(reason: TimedReason, seconds: number | null): void {
    this.#tell({ type: 'warning', reason, seconds });
  }

  /** Tell the client that the proxy is about to stop. */
  warnOfDrain(seconds: number): void {
    this.#tell({ type: 'drain', seconds });
  }

  /** About once a second. `nowMs`: of a clock that never goes back. */
  beat(nowMs: number): void {
    this.#connection.beat();
    this.#timers?.beat(nowMs, this);
    for (const each of this.#joined) each.#connection.beat();
  }

  /** From the client: the one place where its bytes go to the guest. */
  data(bytes: Buffer): boolean {
    if (this.#guest === null) {
      // What was read is the reader's memory, and it reads on.
      this.#early.push(Buffer.from(bytes));
      this.#earlyBytes += bytes.length;
      this.#heard();
      return this.#earlyBytes < EARLY_BYTES_MAX;
    }
    this.#carried.bytesIn += bytes.length;
    if (this.#input?.sees(bytes)) this.#timers?.input();
    const passed = this.#passed(bytes);
    return passed.length === 0 || this.#guest.send(passed);
  }

  /** From the guest, to the client. */
  output(whole: Buffer, start: number): boolean {
    if (this.#endReason === null) this.#carried.bytesOut += whole.length - start;
    return this.#connection.send(whole, start);
  }

  /** `{"type": "stay"}` counts as input, for whoever must not type into the guest; a newer page's words are passed over. */
  text(message: string): void {
    if (typeOf(message) === 'stay') this.#timers?.input();
  }

  /** The client has taken the guest's bytes. */
  drained(): void {
    this.#guest?.resume();
  }

  /** The guest has taken the client's. */
  taken(): void {
    this.#connection.resume();
  }

  /** The guest's side is gone. */
  over(reason: string): void {
    this.end(reason);
  }

  closed(end: WebSocketEnd): void {
    this.#saidGoodbye = end.by === 'peer' && end.code === GOING_AWAY;
    this.#finish(reasonOf(end), end.code, end.reason);
  }

  #passed(bytes: Buffer): Buffer {
    if (this.#filter === null) return bytes;
    try {
      return this.#filter.pass(bytes);
    } catch {
      this.end('protocol_error');
      return EMPTY;
    }
  }

  #startTimers({ session, leaseSeconds }: ConsoleGrant, settings: TimerSettings): void {
    if (settings.idleTimeoutMs === 0 && settings.lifetimeMaxMs === 0) return;
    // By consoleauth's clock alone, so that it does not matter what this machine's clock says.
    const ageMs = session.leaseExpires.getTime() - leaseSeconds * 1_000 - session.startedAt.getTime();
    this.#timers = new SessionTimers(settings, ageMs, performance.now());
    if (settings.idleTimeoutMs === 0) return;
    this.#input = personInputOf(session.consoleType);
  }

  #finish(reason: string, code: number, words: string): void {
    if (this.#endReason !== null) return;
    this.#endReason = reason;
    this.#early = [];
    this.#opening?.abort(CLIENT_GONE);
    this.#tell({ type: 'end', code, reason: words });
    this.#connection.close(code, words);
    if (['client_closed', 'client_lost'].includes(reason)) this.#guest?.letGo();
    else this.#guest?.destroy();
    this.#heard();
    for (const each of [...this.#joined]) each.end(reason);
    this.#carrier?.onEnded(reason);
  }

  /** A control message, where the client agreed to hear them. */
  #tell(message: object): void {
    if (this.#controlled) this.#connection.sendText(JSON.stringify(message));
  }
}

/** Our own goodbye comes here too, when a violation made the connection say it. */
function reasonOf({ by, code }: WebSocketEnd): EndReason {
  if (by === 'us') return 'protocol_error';
  return by === 'lost' || code === GOING_AWAY ? 'client_lost' : 'client_closed';
}

/** The type of a control message; null for what is none. */
function typeOf(message: string): unknown {
  try {
    const parsed: unknown = JSON.parse(message);
    return typeof parsed === 'object' && parsed !== null && 'type' in parsed ? parsed.type : null;
  } catch {
    return null;
  }
}

function sessionMessage({ session, instanceName, resumeGrant }: ConsoleGrant): object {
  return {
    type: 'session',
    id: session.id,
    instance: { uuid: session.instanceUuid, name: instanceName },
    console_type: session.consoleType,
    access: session.access,
    ...(resumeGrant === null ? {} : { resume: resumeGrant }),
  };
}
