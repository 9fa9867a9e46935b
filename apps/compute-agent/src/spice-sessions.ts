/**
 * SPICE sessions that are open at this host. A SPICE client opens a connection for each of its channels, and all of them are
 * one session: its first channel is admitted by consoleauth, the further ones by the same secret for as long as the first is
 * open. They end with it.
 *
 * QEMU's server has one client at a time and lets the one before go without a word. So who opens a second session is
 * preferred here, and the user of the first reads why it ended.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { AttachOpen } from '@gatehouse/console-stream/attach-call';
import { ConsoleEnded } from '@gatehouse/console-stream/console-ended';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';

interface OpenSession {
  readonly connection: ConsoleConnection;
  readonly secretHash: Buffer;
  readonly main: Duplex;
  readonly channels: Set<Duplex>;
}

/** A client has one for each kind and each of a guest's screens, sound and USB devices. */
export const SPICE_CHANNELS_MAX = 32;

export class SpiceSessions {
  readonly #open = new Map<string, OpenSession>();

  /**
   * The console of the session, where it is open here with that secret; null where consoleauth is to be asked. Throws ServiceError
   * RESOURCE_EXHAUSTED when it has as many channels as it may.
   */
  consoleOf({ sessionId, attachSecret }: Pick<AttachOpen, 'sessionId' | 'attachSecret'>): ConsoleConnection | null {
    const session = this.#open.get(sessionId);
    if (session === undefined || !timingSafeEqual(hashOf(attachSecret), session.secretHash)) return null;
    if (session.channels.size >= SPICE_CHANNELS_MAX) throw new ServiceError('RESOURCE_EXHAUSTED', `a SPICE session has at most ${SPICE_CHANNELS_MAX} channels besides its first`);
    return session.connection;
  }

  /** The session's first channel is open. Others of the same screen end, and so does what the session had before. */
  begin({ sessionId, attachSecret }: Pick<AttachOpen, 'sessionId' | 'attachSecret'>, connection: ConsoleConnection, main: Duplex): void {
    for (const [id, other] of this.#open) {
      if (other.connection.instanceUuid === connection.instanceUuid) other.main.destroy(new ConsoleEnded(id === sessionId ? 'superseded' : 'screen_taken'));
    }
    const session: OpenSession = { connection, secretHash: hashOf(attachSecret), main, channels: new Set() };
    this.#open.set(sessionId, session);
    main.once('close', () => {
      if (this.#open.get(sessionId) === session) this.#open.delete(sessionId);
      for (const channel of session.channels) channel.destroy();
    });
  }

  /** A further channel is open; it ends at once where its session has ended meanwhile. */
  add(sessionId: string, channel: Duplex): void {
    const session = this.#open.get(sessionId);
    if (session === undefined || session.main.destroyed) {
      channel.destroy();
      return;
    }
    session.channels.add(channel);
    channel.once('close', () => session.channels.delete(channel));
  }
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
