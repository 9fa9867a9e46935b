/**
 * The host's end: listens for Attach calls, has each one's session and secret checked by whoever serves the
 * consoles, and joins the guest's stream to the call.
 *
 * Everything a stranger can send is limited: the size of a message, the number of open calls and of connections that have
 * said nothing, the time until the first message. Without TLS it listens on loopback only, because the secret and the
 * console travel in clear.
 */
import { Server, ServerCredentials, logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { ServiceError } from '@gatehouse/errors/service-error';
import { formatAddress, isLoopback, parseAddress } from './address.ts';
import { DEFAULT_LIMITS, serveAttachCall } from './attach-call.ts';
import type { AttachCall, AttachOpen, ConsoleStreamLimits } from './attach-call.ts';
import { ATTACH_PATH, MESSAGE_BYTES_MAX, encodeResponse } from './attach-messages.ts';
import { ByteConnections } from './byte-connections.ts';
import { serveOwnCall } from './host-call.ts';
import type { AttachServerCall, HostCall, HostCallListener } from './host-call.ts';
import { MULTIPLEXED_PATH, encodeMultiplexedResponse } from './multiplexed-messages.ts';
import type { GuestConsole } from './open-console.ts';
import { serveMultiplexed } from './serve-multiplexed.ts';
import type { MultiplexedStream, ServedStream } from './serve-multiplexed.ts';
import type { StreamLog } from './stream-log.ts';
import { listenStreamPort } from './stream-port.ts';
import type { StreamPort } from './stream-port.ts';
import type { TlsFiles } from './tls-files.ts';

export interface ServeOptions {
  /** host:port; port 0 takes a free one. */
  readonly listen: string;
  readonly tls?: TlsFiles;
  readonly limits?: Partial<ConsoleStreamLimits>;
  /** Whether calls may share a stream, as they may by default; without, it is as hosts are that know nothing of it. */
  readonly sharedStreams?: boolean;
  readonly log: StreamLog;
  /** Checks the secret and opens the console; a ServiceError is what the proxy sees. */
  attach(open: AttachOpen): Promise<GuestConsole>;
}

export interface ConsoleStreamServer {
  /** host:port that listens. */
  readonly endpoint: string;
  readonly openAttaches: number;
  /** Ends every session with `host_draining`, stops listening when their proxies have heard it, and is done within `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>;
}

// gRPC writes to stderr what it also throws, past every logger.
setLogVerbosity(logVerbosity.NONE);

/** Throws ServiceError: INVALID_ARGUMENT for an address it will not listen on, FAILED_PRECONDITION where that address is taken. */
export async function serveConsoleStream(options: ServeOptions): Promise<ConsoleStreamServer> {
  const address = parseAddress(options.listen);
  if (!options.tls && !isLoopback(address.host)) {
    throw new ServiceError(
      'INVALID_ARGUMENT',
      `the console stream will not listen on ${options.listen} without TLS; give it a certificate and a key, or a loopback address`,
    );
  }
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const calls = new Set<AttachCall>();
  const streams = new Set<ServedStream>();
  const connections = new ByteConnections(options.log);
  const serve = (call: HostCall): HostCallListener => serveAttachCall(call, { attach: options.attach, log: options.log, limits, calls, connections });
  const server = new Server({
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
  server.addService(attachDefinition, {
    attach: (call: AttachServerCall) => serveOwnCall(call, serve),
  });
  if (options.sharedStreams ?? true) {
    server.addService(multiplexedDefinition, { attachMultiplexed: (stream: MultiplexedStream) => serveMultiplexed(stream, { limits, streams, serve }) });
  }
  // TLS, where there is any, is done with before a connection is known to be HTTP/2.
  const http2 = server.createConnectionInjector(ServerCredentials.createInsecure());
  const port = await listenStreamPort({
    address,
    tls: options.tls,
    bounds: limits,
    log: options.log,
    http2: (socket) => http2.injectConnection(socket),
    bytes: (ticket, socket) => connections.accept(ticket, socket),
  });
  return {
    endpoint: formatAddress({ host: address.host, port: port.port }),
    get openAttaches() {
      return calls.size;
    },
    async drain(timeoutMs) {
      port.drain();
      for (const call of calls) call.end('host_draining');
      for (const stream of streams) stream.drain();
      await shutdown({ server, connections, port }, timeoutMs);
    },
  };
}

const bothWays = {
  requestStream: true,
  responseStream: true,
  // Decoded below, where a fault can be answered with words.
  requestSerialize: (bytes: Buffer) => bytes,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseDeserialize: (): never => {
    throw new Error('a server decodes no response');
  },
} as const;

const attachDefinition = { attach: { ...bothWays, path: ATTACH_PATH, responseSerialize: encodeResponse } } as const;
const multiplexedDefinition = {
  attachMultiplexed: { ...bothWays, path: MULTIPLEXED_PATH, responseSerialize: encodeMultiplexedResponse },
} as const;

interface Listening {
  readonly server: Server;
  readonly connections: ByteConnections;
  readonly port: StreamPort;
}

/** The port is closed when all calls are over: until then a proxy that was just let in opens its byte connection, and reads why it ends. */
function shutdown({ server, connections, port }: Listening, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      port.close();
      connections.destroy();
      resolve();
    }, timeoutMs);
    server.tryShutdown(() => {
      port.close();
      void connections.closed().then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  });
}
