/**
 * TLS sessions with hosts, so that of their byte connections only the first pays for proving who both are. A session is
 * taken up for what its first handshake proved: it is known by that peer and its name, and never used with other files.
 */
import type { TLSSocket } from 'node:tls';
import type { TlsFiles } from './tls-files.ts';

/** Hosts; of more, those that were met first are forgotten. */
const SESSIONS_MAX = 1_000;
const sessions = new WeakMap<TlsFiles, Map<string, Buffer>>();

export function knownSession(peer: string, tls: TlsFiles): Buffer | undefined {
  return sessions.get(tls)?.get(peer);
}

/** A host says more than once, and after the handshake, how its session may be taken up. Returns the socket. */
export function rememberSessions(peer: string, tls: TlsFiles, socket: TLSSocket): TLSSocket {
  const known = sessions.get(tls) ?? new Map<string, Buffer>();
  sessions.set(tls, known);
  return socket.on('session', (session: Buffer) => {
    if (!socket.authorized) return;
    known.set(peer, session);
    const [first] = known.keys();
    if (known.size > SESSIONS_MAX && first !== undefined) known.delete(first);
  });
}
