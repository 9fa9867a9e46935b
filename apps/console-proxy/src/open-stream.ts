/** The way to a console that was granted: through its host's agent (Attach), or by TCP as Nova's proxies dial. */
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { attachConsole } from '@gatehouse/console-stream/attach-console';
import type { TlsFiles } from '@gatehouse/console-stream/tls-files';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';

export type OpenStream = (grant: ConsoleGrant) => Promise<Duplex>;

/**
 * `tls` is how agents beyond this machine are reached; a host that does not open the console within `timeoutMs` is not there.
 * @throws ServiceError, UNAVAILABLE or DEADLINE_EXCEEDED when the host is not there
 */
export const openStreamWith = (tls: TlsFiles | undefined, timeoutMs: number): OpenStream => (grant) => {
  const { session, connection, endpoint, attachSecret } = grant;
  if (connection.options['transport'] === 'tcp') {
    if (connection.options['internal_access_path'] !== undefined) {
      return Promise.reject(new ServiceError('UNIMPLEMENTED', 'consoles behind an internal access path are not reached yet'));
    }
    return dial(connection.options['address'] ?? connection.host, connection.port, timeoutMs);
  }
  if (endpoint === null || attachSecret === null) {
    return Promise.reject(new ServiceError('UNAVAILABLE', `The host of this console (${connection.host}) does not serve it at the moment.`));
  }
  return attachConsole({ endpoint, sessionId: session.id, attachSecret, connectTimeoutMs: timeoutMs, ...(tls === undefined ? {} : { tls }) });
};

/** A TCP connection, open, with small writes sent at once. */
export function dial(host: string, port: number, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 });
    const timer = setTimeout(() => fail(new ServiceError('DEADLINE_EXCEEDED', `The console's host did not answer within ${timeoutMs / 1_000} s.`)), timeoutMs);
    const fail = (error: ServiceError): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const failed = (cause: Error): void => fail(new ServiceError('UNAVAILABLE', "The console's host could not be reached.", { cause }));
    socket.once('error', failed);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', failed);
      resolve(socket);
    });
  });
}
