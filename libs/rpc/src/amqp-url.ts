/** Broker addresses in one text, as oslo writes them: `amqp://user:password@host1:5672,host2:5672/vhost`. */
import { ServiceError } from '@gatehouse/errors/service-error';

/** Seconds; a broker that is silent for twice as long is taken for lost. */
const HEARTBEAT_SECONDS = 10;
const HOSTS_MAX = 16;

/**
 * One URL a host, each with a heartbeat.
 * @throws ServiceError INVALID_ARGUMENT; the text itself is not quoted, it holds a password
 */
export function brokerUrls(text: string): readonly string[] {
  const parts = /^(amqps?|rabbit):\/\/((?:[^@/?#]*@)?)([^/?#]*)(\/[^?#]*)?(\?[^#]*)?$/.exec(text);
  if (parts === null) throw malformed();
  const [, scheme = '', user = '', hosts = '', path = '', query = ''] = parts;
  const names = hosts.split(',');
  if (names.length > HOSTS_MAX || names.some((host) => host === '')) throw malformed();
  return names.map((host) => {
    const address = `${scheme === 'rabbit' ? 'amqp' : scheme}://${user}${host}${path}${query}`;
    if (!URL.canParse(address)) throw malformed();
    const url = new URL(address);
    if (!url.searchParams.has('heartbeat')) url.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
    return url.href;
  });
}

/** host:port of a broker URL, for logs. */
export function brokerName(url: string): string {
  return new URL(url).host;
}

function malformed(): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', `the transport URL: expected amqp://user:password@host:5672/vhost, with up to ${HOSTS_MAX} hosts between commas`);
}
