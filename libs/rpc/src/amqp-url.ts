/**
 * Broker addresses in one text, as oslo's transport_url writes them:
 *
 *   rabbit://user:password@host1:5672,user:password@[2001:db8::2]:5672/vhost?ssl=1
 *
 * amqp and amqps say the same. Names are percent-encoded where they hold `:@/?#,`. A host without a user takes that of
 * the host before it. `rabbit://` alone is the broker of this machine.
 */
import { ServiceError } from '@gatehouse/errors/service-error';

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  /** A broker that is silent for twice as long is taken for lost. */
  readonly heartbeatSeconds: number;
}

const HEARTBEAT_SECONDS = 10;
const HEARTBEAT_SECONDS_MAX = 3_600;
const HOSTS_MAX = 16;
const PORT = 5672;
const PORT_TLS = 5671;
const WANTED = 'expected amqp://user:password@host:5672/vhost, or amqps or rabbit instead of amqp';

/**
 * One address a host.
 * @throws ServiceError INVALID_ARGUMENT that says which part is wrong; the text itself is not quoted, it holds a password
 */
export function brokerAddresses(text: string): readonly BrokerAddress[] {
  const parts = /^([a-z]+):\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text);
  if (parts === null) throw malformed('it is no URL of a broker (a # in it must be written %23)');
  const [, scheme = '', authority = '', path = '', queryText = ''] = parts;
  if (!['amqp', 'amqps', 'rabbit'].includes(scheme)) throw malformed('its scheme is none of these');
  const query = new URLSearchParams(queryText);
  const isTls = scheme === 'amqps' || (scheme === 'rabbit' && isYes(query.get('ssl')));
  const common = { isTls, vhost: decoded(path, 'the virtual host') || '/', heartbeatSeconds: heartbeatOf(query) };
  const hosts = authority === '' && scheme === 'rabbit' ? ['localhost'] : authority.split(',');
  if (hosts.length > HOSTS_MAX) throw malformed(`it names ${hosts.length} hosts, at most ${HOSTS_MAX} are tried`);
  let user = { username: 'guest', password: 'guest' };
  return hosts.map((each, index) => {
    const which = hosts.length === 1 ? 'the host' : `host ${index + 1}`;
    const at = each.lastIndexOf('@');
    if (at >= 0) user = userOf(each.slice(0, at), which);
    return { ...common, ...user, ...hostOf(each.slice(at + 1), which, isTls ? PORT_TLS : PORT) };
  });
}

/** host:port, for logs. */
export function brokerName({ host, port }: BrokerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function userOf(text: string, which: string): { username: string; password: string } {
  const colon = text.indexOf(':');
  const [username, password] = colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
  return { username: decoded(username, `the user of ${which}`), password: decoded(password, `the password of ${which}`) };
}

function hostOf(text: string, which: string, portDefault: number): { host: string; port: number } {
  const parts = /^(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9_](?:[A-Za-z0-9_.-]*)))(?::(\d{0,6}))?$/.exec(text);
  if (parts === null) throw malformed(`${which} is no name, address or [IPv6 address] with a port or without`);
  const [, v6, name = '', digits = ''] = parts;
  const port = digits === '' ? portDefault : Number(digits);
  if (port < 1 || port > 65_535) throw malformed(`the port of ${which} is none from 1 to 65535`);
  return { host: v6 ?? name, port };
}

/** oslo's name for it is heartbeat_timeout_threshold. */
function heartbeatOf(query: URLSearchParams): number {
  const given = query.get('heartbeat') ?? query.get('heartbeat_timeout_threshold');
  if (given === null) return HEARTBEAT_SECONDS;
  if (!/^\d{1,4}$/.test(given) || Number(given) > HEARTBEAT_SECONDS_MAX) throw malformed(`its heartbeat is no number of seconds up to ${HEARTBEAT_SECONDS_MAX}`);
  return Number(given);
}

function isYes(value: string | null): boolean {
  return value !== null && ['1', 'true', 'yes', 'on'].includes(value.toLowerCase());
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed(`${what} holds a % that is no percent-encoding (a % itself is written %25)`);
  }
}

function malformed(problem: string): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `the transport URL: ${problem}; ${WANTED}, with up to ${HOSTS_MAX} hosts between commas`);
}
