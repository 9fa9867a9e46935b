/**
 * Connections to hosts over TLS. The files are parsed once, and of a host's connections only the first pays for proving who
 * both are: the next take its session up. A session stands for what its first handshake proved, so it is known by that peer
 * and its name, and never used with other files.
 */
import { isIP } from 'node:net';
import { connect, createSecureContext } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Address } from './address.ts';
import { SOCKET_OPTIONS } from './socket-options.ts';
import type { TlsFiles } from './tls-files.ts';

interface Known {
  readonly secureContext: SecureContext;
  readonly sessions: Map<string, Buffer>;
}

/** Hosts; of more, those that were met first are forgotten. */
const SESSIONS_MAX = 1_000;
const knownOf = new WeakMap<TlsFiles, Known>();

/** `name`: whose certificate it must be, a host's name or its address. */
export function connectTls(name: string, { host, port }: Address, tls: TlsFiles): TLSSocket {
  const { secureContext, sessions } = knownWith(tls);
  const peer = `${name} ${host} ${port}`;
  const session = sessions.get(peer);
  const identity = isIP(name) === 0 ? { servername: name } : {};
  const socket = connect({ host, port, ...SOCKET_OPTIONS, ...identity, secureContext, ...(session === undefined ? {} : { session }) });
  // A host says more than once, and after the handshake, how its session may be taken up.
  return socket.on('session', (fresh: Buffer) => {
    if (socket.authorized) remember(sessions, peer, fresh);
  });
}

function knownWith(tls: TlsFiles): Known {
  const { authority: ca, key, certificate: cert } = tls;
  const known = knownOf.get(tls) ?? { secureContext: createSecureContext({ ca, key, cert }), sessions: new Map() };
  knownOf.set(tls, known);
  return known;
}

function remember(sessions: Map<string, Buffer>, peer: string, session: Buffer): void {
  sessions.set(peer, session);
  const [first] = sessions.keys();
  if (sessions.size > SESSIONS_MAX && first !== undefined) sessions.delete(first);
}
