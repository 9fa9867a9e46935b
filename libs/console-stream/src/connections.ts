/**
 * Calls to one host share one HTTP/2 connection, and where host and console allow one stream on it (multiplexed-calls.ts). The
 * connection is kept for a while after its last console and thrown away after a failure to connect, so that an agent that is
 * back is reached at once and not after gRPC's back-off. gRPC does not keep the process alive for a connection without streams.
 */
import { Client, credentials } from '@grpc/grpc-js';
import { MESSAGE_BYTES_MAX } from './attach-messages.ts';
import { MultiplexedCalls } from './multiplexed-calls.ts';
import { openOwnCall } from './proxy-call.ts';
import type { ProxyCall, ProxyCallListener } from './proxy-call.ts';
import type { TlsFiles } from './tls-files.ts';

export interface Connection {
  /** A call with its first message; on the stream that is shared, if it may be and the host knows of such. */
  open(request: Buffer, listener: ProxyCallListener, mayShare: boolean): ProxyCall;
  release(): void;
  /** The next attach connects anew. */
  discard(): void;
}

interface SharedClient {
  readonly client: Client;
  /** While there is one that takes calls. */
  calls: MultiplexedCalls | null;
  /** False once the host has said that it knows of no such stream, until its last console is over. */
  canShare: boolean;
  users: number;
  idle: NodeJS.Timeout | undefined;
}

const IDLE_MS = 30_000;
const HTTP2_WINDOW_BYTES = 4 * 1024 * 1024;
const shared = new Map<string, SharedClient>();

/** One process has one set of TLS files, so a connection is known by its endpoint and whether it has them. */
export function takeConnection(endpoint: string, tls: TlsFiles | undefined): Connection {
  const key = tls ? `tls ${endpoint}` : endpoint;
  let entry = shared.get(key);
  if (!entry) {
    entry = { client: connect(endpoint, tls), calls: null, canShare: true, users: 0, idle: undefined };
    shared.set(key, entry);
  }
  const held = entry;
  held.users += 1;
  clearTimeout(held.idle);
  let released = false;

  const forget = (): void => {
    if (shared.get(key) === held) shared.delete(key);
  };
  const closeIdle = (): void => {
    if (held.users > 0) return;
    clearTimeout(held.idle);
    forget();
    close(held);
  };
  return {
    open(request, listener, mayShare) {
      return mayShare && held.canShare ? sharedCalls(held).open(request, listener) : openOwnCall(held.client, request, listener);
    },
    release() {
      if (released) return;
      released = true;
      held.users -= 1;
      if (held.users > 0) return;
      // A host that is upgraded ends all its consoles first: the next one finds out what is there now.
      held.canShare = true;
      if (shared.get(key) !== held) close(held);
      else held.idle = setTimeout(closeIdle, IDLE_MS).unref();
    },
    discard() {
      forget();
      // A client that is not closed goes on trying to connect, each second.
      closeIdle();
    },
  };
}

function sharedCalls(held: SharedClient): MultiplexedCalls {
  if (held.calls !== null) return held.calls;
  const calls = new MultiplexedCalls(held.client, (isUnserved) => {
    if (isUnserved) held.canShare = false;
    if (held.calls === calls) held.calls = null;
  });
  return (held.calls = calls);
}

/** A channel that is closed carries its calls on: the stream has to end by itself. */
function close({ client, calls }: SharedClient): void {
  calls?.close();
  client.close();
}

function connect(endpoint: string, tls: TlsFiles | undefined): Client {
  const channelCredentials = tls
    ? credentials.createSsl(tls.authority ?? null, tls.key, tls.certificate)
    : credentials.createInsecure();
  return new Client(endpoint, channelCredentials, {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
    'grpc.enable_retries': 0,
    'grpc.enable_channelz': 0,
    // A proxy of HTTP that the environment names is for the web: byte connections do not go through one, so their call must not.
    'grpc.enable_http_proxy': 0,
    // Each console has a window of its own (attach-channel.ts); HTTP/2's 64 KB for all of them would only make them wait.
    'grpc-node.flow_control_window': HTTP2_WINDOW_BYTES,
  });
}
