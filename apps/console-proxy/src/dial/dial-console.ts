/**
 * A console that is reached by TCP, as Nova's proxies reach all of theirs: dialled, led through what stands before it (an access
 * path, TLS, VNC's security), and handed out as the splice takes it: a plain stream, before which a VNC client is greeted. All of it happens within one time limit,
 * and only while somebody waits for it.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { passAccessPath } from './access-path.ts';
import type { DialMeans } from './dial-settings.ts';
import { dialTcp } from './dial-tcp.ts';
import { GreetedHost } from './greeted-host.ts';
import { hostRefusal, lateAt, refusalAt, WORDS } from './host-refusal.ts';
import { enterVncHost } from './rfb-host.ts';

export const isVnc = (consoleType: string): boolean => consoleType === 'novnc' || consoleType === 'xvpvnc';

/** Made once: a controller would make an error with its stack each time. */
const GIVEN_UP = new Error('given up');

interface Target {
  readonly address: string;
  readonly port: number;
  readonly isVnc: boolean;
  readonly isTls: boolean;
  /** What the host's certificate may be for. */
  readonly names: readonly string[];
  readonly accessPath: string | undefined;
}

/**
 * `gone`: nobody waits for the console any more; whatever was open for it is closed at once.
 *
 * @throws ServiceError UNAVAILABLE or DEADLINE_EXCEEDED with short words, whose cause says where it failed, and why; CANCELLED when `gone`
 */
export async function dialConsole(connection: ConsoleConnection, means: DialMeans, timeoutMs: number, gone: AbortSignal): Promise<Duplex | GreetedHost> {
  const target = targetOf(connection, means);
  const over = new AbortController();
  const giveUp = (): void => over.abort(GIVEN_UP);
  const timer = setTimeout(giveUp, timeoutMs);
  gone.addEventListener('abort', giveUp, { once: true });
  try {
    gone.throwIfAborted();
    return await open(target, means, over.signal);
  } catch (error) {
    if (gone.aborted) throw gone.reason;
    const where = authorityOf(target);
    throw over.signal.aborted ? lateAt(where, timeoutMs, error) : refusalAt(where, error);
  } finally {
    clearTimeout(timer);
    gone.removeEventListener('abort', giveUp);
  }
}

async function open(target: Target, means: DialMeans, signal: AbortSignal): Promise<Duplex | GreetedHost> {
  const socket = await dialTcp(target.address, target.port, signal);
  // What waits for the host then finds its stream closed.
  signal.addEventListener('abort', () => socket.destroy(), { once: true });
  try {
    signal.throwIfAborted();
    return await enter(socket, target, means);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function enter(socket: Socket, target: Target, { tls, vnc }: DialMeans): Promise<Duplex | GreetedHost> {
  const { isTls, names, accessPath } = target;
  if (accessPath !== undefined) await passAccessPath(socket, accessPath, authorityOf(target));
  if (target.isVnc) return new GreetedHost(await enterVncHost(socket, vnc, names));
  if (!isTls) return socket;
  if (tls === null) throw hostRefusal(WORDS.setup, 'it takes TLS, and GATEHOUSE_DIAL_TLS_CA is not set');
  return tls.secureAndSettle(socket, names);
}

/** `tls_port`: where a SPICE server takes TLS; `tls_required`: it takes nothing else. */
function targetOf({ consoleType, host, port, options }: ConsoleConnection, { tlsRequired }: DialMeans): Target {
  const address = options['address'] ?? host;
  const tlsPort = Number(options['tls_port'] ?? -1);
  const isScreen = isVnc(consoleType);
  const isTls = !isScreen && (tlsRequired || options['tls_required'] === 'true' || (port < 1 && tlsPort > 0));
  return {
    ...{ address, isVnc: isScreen, isTls, accessPath: options['internal_access_path'] },
    port: isTls && tlsPort > 0 ? tlsPort : port,
    names: [...new Set([address, host])],
  };
}

const authorityOf = ({ address, port }: Target): string => `${address.includes(':') ? `[${address}]` : address}:${port}`;
