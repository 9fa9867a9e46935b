import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Below those that the system gives to connections that go out: such a one could take the port before its server does. */
const FIRST = 15_000;
const END = 32_000;
/** Ranges lie below those, and above where guests' ports begin unless somebody is told. */
const RANGES_FIRST = 10_100;
const TRIES_MAX = 100;

/** Promises a TCP port on 127.0.0.1 that nobody listened on a moment ago, and that was promised to nobody who still lives. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = randomInt(FIRST, END);
    if (await claim(port)) return port;
  }
  throw new Error(`none of ${TRIES_MAX} ports from ${FIRST} to ${END} was free`);
}

/** The first of `count` ports in a row, from where freePort promises none. */
export async function freePortRange(count: number): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const first = randomInt(RANGES_FIRST, FIRST - count);
    let free = 0;
    while (free < count && (await claim(first + free))) free += 1;
    if (free === count) return first;
  }
  throw new Error(`no ${count} ports in a row between ${RANGES_FIRST} and ${FIRST} were free`);
}

/** Between the promise and the server's start others ask too: the same port of UDP, which nobody here serves, is held by whom it was promised to. */
async function claim(port: number): Promise<boolean> {
  return (await hold(port)) && canListen(port);
}

function hold(port: number): Promise<boolean> {
  const socket = createSocket('udp4').unref();
  return new Promise((resolve) => {
    socket.once('error', () => {
      socket.close();
      resolve(false);
    });
    socket.bind({ address: '127.0.0.1', port, exclusive: true }, () => resolve(true));
  });
}

function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)));
  });
}
