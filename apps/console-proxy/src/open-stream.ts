/** The way to a console that was granted: through its host's agent (Attach), or by TCP as Nova's proxies dial. */
import { attachConsole } from '@gatehouse/console-stream/attach-console';
import type { StreamLog } from '@gatehouse/console-stream/stream-log';
import type { TlsFiles } from '@gatehouse/console-stream/tls-files';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleGrant } from '@gatehouse/objects/console-grant';
import { dialConsole, isVnc } from './dial/dial-console.ts';
import type { DialMeans } from './dial/dial-settings.ts';
import { rfbRefusal } from './dial/rfb-words.ts';
import type { Guest } from './guest-connection.ts';

/** `gone` is aborted, with the error that is then thrown, when nobody waits for the console any more. */
export type OpenStream = (grant: ConsoleGrant, gone: AbortSignal) => Promise<Guest>;

/** What a client of this type understands of a refusal before its console is open; null where it has no words for that. */
export function lastWordsFor(consoleType: string | undefined, words: string): Buffer | null {
  return consoleType !== undefined && isVnc(consoleType) ? rfbRefusal(words) : null;
}

export interface HostMeans {
  /** How agents beyond this machine are reached. */
  readonly agentTls: TlsFiles | undefined;
  /** How consoles without an agent are. */
  readonly dial: DialMeans;
  /** Milliseconds; a host that does not open the console within them is not there. */
  readonly timeoutMs: number;
  readonly log: StreamLog;
}

/**
 * Opens the console of a grant.
 *
 * @throws ServiceError, UNAVAILABLE or DEADLINE_EXCEEDED when the host is not there or does not let us in; the reason of `gone`
 */
export const openStreamWith = ({ agentTls, dial, timeoutMs, log }: HostMeans): OpenStream => (grant, gone) => {
  const { session, connection, endpoint, attachSecret } = grant;
  if (connection.options['transport'] === 'tcp') return dialConsole(connection, dial, timeoutMs, gone);
  if (endpoint === null || attachSecret === null) {
    return Promise.reject(new ServiceError('UNAVAILABLE', `The host of this console (${connection.host}) does not serve it at the moment.`));
  }
  const tls = agentTls === undefined ? {} : { tls: agentTls };
  return attachConsole({ endpoint, sessionId: session.id, attachSecret, connectTimeoutMs: timeoutMs, signal: gone, log, ...tls });
};
