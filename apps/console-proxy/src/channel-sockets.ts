/**
 * A SPICE client opens a WebSocket for each of its channels, and all of them are one session: the first opens it, the others
 * join. None of them says so in its request, and clients that know nothing of us show each time what they showed first, so it is told
 * by what every socket of a session has in common (the address and the token, or the session's grant) and by the first message
 * on it: a client's first channel names no connection, the further ones do (spice-link.ts).
 *
 * A client that speaks gatehouse.v1 on a socket opens a session with it, or comes back to one; its further sockets do not.
 */
import { createHash } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { dropGuest } from './guest-connection.ts';
import type { OpenStream } from './open-stream.ts';
import type { ProxiedSession } from './proxied-session.ts';
import { readSpiceLink, type SpiceLink } from './spice-link.ts';

/** What a socket shows, and from where. */
export interface Shown {
  readonly token: string | null;
  readonly resumeGrant: string | null;
  readonly clientAddress: string;
}

interface OpenSession {
  readonly main: ProxiedSession;
  readonly grant: ConsoleGrant;
}

/** As many as an agent admits besides the first. */
export const JOINED_MAX = 32;
/** A SPICE client speaks first, and at once. */
const FIRST_BYTES_TIMEOUT_MS = 10_000;

export class ChannelSockets {
  readonly #openStream: OpenStream;
  /** By a hash of address and credential: at most two a session. */
  readonly #sessions = new Map<string, OpenSession>();
  readonly #keys = new Map<ProxiedSession, readonly string[]>();

  constructor(openStream: OpenStream) {
    this.#openStream = openStream;
  }

  /** The session is open: until `close` others join it. A token that was not looked at, for the grant was enough, opens nothing. */
  open(main: ProxiedSession, grant: ConsoleGrant, { token, resumeGrant, clientAddress }: Shown, isResumed: boolean): void {
    if (grant.session.consoleType !== 'spice-html5' || main.endReason !== null) return;
    const credentials = [isResumed ? resumeGrant : token, grant.resumeGrant].filter((each) => each !== null);
    const keys = credentials.map((each) => keyOf(clientAddress, each));
    this.#keys.set(main, keys);
    for (const key of keys) this.#sessions.set(key, { main, grant });
  }

  /** The session has ended. Harmless when it was never open. */
  close(main: ProxiedSession): void {
    for (const key of this.#keys.get(main) ?? []) if (this.#sessions.get(key)?.main === main) this.#sessions.delete(key);
    this.#keys.delete(main);
  }

  /**
   * Makes the client part of the session that it belongs to. False: it belongs to none, or begins one of its own.
   * @throws ServiceError RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, CANCELLED, and as the stream
   */
  async join(client: ProxiedSession, shown: Shown): Promise<boolean> {
    const session = this.#find(client, shown);
    if (session === null) return false;
    const link = await firstLink(client);
    if (link === null || link.connectionId === 0) return false;
    const { main, grant } = session;
    checkRoom(main);
    const stream = await this.#openStream(grant, client.untilOpen());
    if (client.endReason !== null || main.endReason !== null) {
      dropGuest(stream);
      throw new ServiceError('CANCELLED', 'The SPICE session of this channel has ended.');
    }
    // Others may have joined meanwhile.
    checkRoom(main, () => dropGuest(stream));
    client.join(main, grant, stream);
    return true;
  }

  /**
   * Looks that a client whose session is new means to begin one: a channel of a session that is over would take the screen
   * from whoever has it now, and show nothing.
   * @throws ServiceError NOT_FOUND, DEADLINE_EXCEEDED, CANCELLED
   */
  async checkBeginning(client: ProxiedSession, { session: { consoleType } }: ConsoleGrant): Promise<void> {
    if (consoleType !== 'spice-html5' || client.isControlled) return;
    const link = await firstLink(client);
    if (link !== null && link.connectionId !== 0) throw new ServiceError('NOT_FOUND', 'The SPICE session of this channel is over; open the console again.');
  }

  #find(client: ProxiedSession, { token, resumeGrant, clientAddress }: Shown): OpenSession | null {
    if (client.isControlled || this.#sessions.size === 0) return null;
    for (const credential of [resumeGrant, token]) {
      const session = credential === null ? undefined : this.#sessions.get(keyOf(clientAddress, credential));
      if (session !== undefined) return session;
    }
    return null;
  }
}

function checkRoom(main: ProxiedSession, letGo = (): void => {}): void {
  if (main.joined < JOINED_MAX) return;
  letGo();
  throw new ServiceError('RESOURCE_EXHAUSTED', `A SPICE session has at most ${JOINED_MAX} channels besides its first.`);
}

/** What the client's first bytes say; null when they are no SPICE, which its guest will tell it. */
async function firstLink(client: ProxiedSession): Promise<SpiceLink | null> {
  const link = readSpiceLink(await client.firstBytes((bytes) => readSpiceLink(bytes) !== 'more', FIRST_BYTES_TIMEOUT_MS));
  if (client.endReason !== null) throw new ServiceError('CANCELLED', 'The client left before it said which channel it opens.');
  if (link === 'more') throw new ServiceError('DEADLINE_EXCEEDED', `A SPICE client says which channel it opens within ${FIRST_BYTES_TIMEOUT_MS / 1_000} s.`);
  return link;
}

function keyOf(clientAddress: string, credential: string): string {
  return createHash('sha256').update(`${clientAddress}\0${credential}`).digest('base64');
}
