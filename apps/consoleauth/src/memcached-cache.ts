/** One memcached or several as a token cache: each key has its server, and no other stands in for it. */
import { createHash } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import { MemcachedConnection } from './memcached-connection.ts';
import type { MemcachedServer } from './memcached-connection.ts';
import type { TokenCache } from './token-cache.ts';

const SERVERS_MAX = 16;
const PORT = 11_211;
const ANSWER_MS_MAX = 2_000;

/**
 * @param url memcached://[user:password@]host[:port][,host[:port]...]; all consoleauths name the same servers in the same order
 * @throws ServiceError INVALID_ARGUMENT
 */
export function memcachedCache(url: string): TokenCache {
  const connections = memcachedServers(url).map((server) => new MemcachedConnection(server, ANSWER_MS_MAX));

  /** @returns whether the answer was `yes`; `no` is the other that is right. */
  async function ask(key: string, command: string, yes: string, no: string): Promise<boolean> {
    const { line } = await of(key).request(command);
    if (line !== yes && line !== no) throw new Error(`it answers ${JSON.stringify(line.slice(0, 100))}`);
    return line === yes;
  }

  function of(key: string): MemcachedConnection {
    const index = createHash('sha256').update(key).digest().readUInt32BE() % connections.length;
    return connections[index] as MemcachedConnection;
  }

  const store = (verb: string, key: string, value: string, seconds: number): Promise<boolean> =>
    ask(key, `${verb} ${key} 0 ${seconds} ${Buffer.byteLength(value)}\r\n${value}`, 'STORED', 'NOT_STORED');

  return {
    name: 'memcached',
    async get(key) {
      const { line, value } = await of(key).request(`get ${key}`);
      if (value === null && line !== 'END') throw new Error(`it answers ${JSON.stringify(line.slice(0, 100))}`);
      return value;
    },
    async set(key, value, seconds) {
      if (!(await store('set', key, value, seconds))) throw new Error('it does not store what it is told to');
    },
    add: (key, value, seconds) => store('add', key, value, seconds),
    touch: (key, seconds) => ask(key, `touch ${key} ${seconds}`, 'TOUCHED', 'NOT_FOUND'),
    delete: (key) => ask(key, `delete ${key}`, 'DELETED', 'NOT_FOUND'),
    async close() {
      for (const connection of connections) connection.close();
    },
  };
}

/** @throws ServiceError INVALID_ARGUMENT; the words quote nothing, there may be a password */
export function memcachedServers(url: string): readonly MemcachedServer[] {
  const [, user, password, hosts] = /^memcached:\/\/(?:([^:@/\s]+):([^@/\s]*)@)?([^@/\s]+)\/?$/.exec(url) ?? [];
  const places = (hosts ?? '').split(',').map((host) => /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(host));
  if (hosts === undefined || places.length > SERVERS_MAX || places.includes(null)) {
    throw new ServiceError('INVALID_ARGUMENT', `a memcached is named as memcached://[user:password@]host:port, several hosts between commas, at most ${SERVERS_MAX}`);
  }
  const login = user === undefined ? null : { user: decodeURIComponent(user), password: decodeURIComponent(password ?? '') };
  return places.map((place) => ({ host: (place?.[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(place?.[2] ?? PORT), login }));
}
