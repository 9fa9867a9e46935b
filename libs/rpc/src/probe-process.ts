/** For the fault tests: a server that takes requests, says so on its output, and never answers. */
import { probe } from './conformance.ts';
import { createAmqpTransport } from './amqp-transport.ts';
import { serve } from './server.ts';
import type { Handlers } from './server.ts';

const [url = '', exchange = '', server = ''] = process.argv.slice(2);
const names = Object.keys(probe.methods);
const never = new Promise<never>(() => {});
const handlers = Object.fromEntries(names.map((name) => [name, () => (process.stdout.write(`${name}\n`), never)]));
const transport = createAmqpTransport({ url, exchange, connectionName: server });
await serve(probe, transport, { server, handlers: handlers as unknown as Handlers<typeof probe> });
process.stdout.write('serving\n');
