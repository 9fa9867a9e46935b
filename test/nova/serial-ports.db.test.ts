/**
 * Replays Nova's tests of its serial port allocator, nova/tests/unit/console/test_serial.py, and those of test_hardware.py
 * and the libvirt driver that count and release serial ports: guests whose ports are TCP ports of their host, as QEMU's
 * are under Nova, asked for over REST and RPC. Here to hold a port is to listen on it.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { computeAgentConfig } from '@gatehouse/compute-agent/config';
import { newContext } from '@gatehouse/rpc/context';
import type { App } from '@gatehouse/runtime/app';
import { refused } from './consoleauth-alone.ts';
import { startWholeHouse } from './whole-house.ts';
import type { WholeHouse } from './whole-house.ts';

const A = '127.0.0.1';
const B = '127.0.0.2';

describe("Nova's tests of serial ports", function () {
  this.timeout(60_000);
  let house: WholeHouse;
  const agents: App[] = [];
  const others: Server[] = [];

  before(async () => {
    house = await startWholeHouse([]);
  });
  after(() => house?.stop());
  afterEach(async () => {
    for (const agent of agents.splice(0)) await agent.drain();
    for (const server of others.splice(0)) server.close();
  });

  /** A host whose guests serve their ports at that address. @returns its name */
  async function startHost(address: string, range: string | null): Promise<string> {
    const host = `host-${randomUUID().slice(0, 8)}`;
    const settings = { simulatedTcp: 'true', serialListen: address };
    agents.push(await house.startAgent(host, range === null ? settings : { ...settings, serialPortRange: range }));
    return host;
  }

  /** The TCP ports of the server's serial consoles, in order, as users get them. */
  async function portsOf(id: string, host: string, count = 1): Promise<readonly (readonly [address: string | undefined, port: number])[]> {
    const ports = [];
    for (let user = 0; user < count; user += 1) {
      const context = newContext({ userId: `user-${user}`, projectId: 'demo' });
      const { options, port } = await house.compute.getConsole({ instanceUuid: id, consoleType: 'serial' }, context, { server: host });
      ports.push([options['address'], port] as const);
    }
    return ports;
  }

  async function bootWithPort(host: string): Promise<number> {
    const [[, port] = [A, 0]] = await portsOf(await house.boot(host), host);
    return port;
  }

  /** Another process of the machine, as it were. */
  async function occupy(address: string, port: number): Promise<Server> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen({ host: address, port }, resolve));
    others.push(server);
    return server;
  }

  /** The first of `count` ports in a row that are free at both addresses. */
  async function freeRow(count: number): Promise<number> {
    for (let tries = 0; tries < 50; tries += 1) {
      const start = 20_000 + Math.floor(Math.random() * 12_000);
      const row = Array.from({ length: count }, (_, index) => start + index);
      const taken: Server[] = [];
      const isFree = await Promise.all(row.flatMap((port) => [A, B].map((address) => occupy(address, port).then((server) => taken.push(server)))))
        .then(() => true, () => false);
      await Promise.all(taken.map((server) => new Promise((resolve) => server.close(resolve))));
      if (isFree) return start;
    }
    return assert.fail('no free ports in a row');
  }

  it('test_get_port_range: 10000 up to 20000, unless told', async () => {
    assert.deepEqual(computeAgentConfig.parse({}).serialPortRange, { start: 10_000, stop: 20_000 });
    const port = await bootWithPort(await startHost(A, null));
    assert.ok(port >= 10_000 && port < 20_000, String(port));
  });

  it('test_get_port_range_customized: the range that is set', async () => {
    const start = await freeRow(2);
    assert.equal(await bootWithPort(await startHost(A, `${start}:${start + 2}`)), start);
  });

  it('test_get_port_range_bad_range: an agent does not start with a range that is none, and says so', () => {
    for (const range of ['40000:30000', '10000:10000', '10000', '10000-20000', '0:10', '65000:70000', 'a:b']) {
      const { error } = computeAgentConfig.safeParse({ serialPortRange: range });
      assert.match(error?.message ?? '', /a range of ports such as 10000:20000/, range);
    }
  });

  it('test_verify_port: a port that is given out is listened on, at the address that is set', async () => {
    const start = await freeRow(2);
    const port = await bootWithPort(await startHost(A, `${start}:${start + 2}`));
    await assert.rejects(occupy(A, port), { code: 'EADDRINUSE' });
    await occupy(B, port);
  });

  it('test_verify_port_in_use: a port that somebody listens on is not given out', async () => {
    const start = await freeRow(2);
    await occupy(A, start);
    assert.equal(await bootWithPort(await startHost(A, `${start}:${start + 2}`)), start + 1);
  });

  it('test_acquire_port: five ports in a row, in order, at each of two addresses', async () => {
    const start = await freeRow(5);
    const range = `${start}:${start + 5}`;
    const row = [0, 1, 2, 3, 4].map((index) => start + index);
    for (const address of [A, B]) {
      const host = await startHost(address, range);
      const got: number[] = [];
      for (const _port of row) got.push(await bootWithPort(host));
      assert.deepEqual(got, row);
    }
  });

  it('test_acquire_port_in_use: what is busy at one address is free at the other', async () => {
    const start = await freeRow(3);
    const range = `${start}:${start + 3}`;
    await occupy(A, start);
    assert.equal(await bootWithPort(await startHost(A, range)), start + 1);
    assert.equal(await bootWithPort(await startHost(B, range)), start);
  });

  it('test_acquire_port_not_ble_to_bind_at_any_port: a guest is not made, and the reason is told', async () => {
    const start = await freeRow(2);
    const host = await startHost(A, `${start}:${start + 2}`);
    for (const port of [start, start + 1]) await occupy(A, port);
    await assert.rejects(house.boot(host), /ERROR/);
    const instance = await house.cellDb.instances.get(await house.place({ host, vmState: 'building' }));
    const made = house.compute.createInstance({ instance }, newContext(), { server: host });
    await assert.rejects(made, refused('RESOURCE_EXHAUSTED', /Not able to bind any port for a serial console on 127\.0\.0\.1.*GATEHOUSE_SERIAL_PORT_RANGE/));
  });

  it("test_release_port: a deleted server's port is given to the next, and its alone", async () => {
    const start = await freeRow(3);
    const host = await startHost(A, `${start}:${start + 3}`);
    const [first, second] = [await house.boot(host), await house.boot(host)];
    assert.equal((await portsOf(first, host))[0]?.[1], start);
    assert.equal((await house.ask('2.90', 'DELETE', `/servers/${first}`)).status, 204);
    assert.equal(await bootWithPort(host), start);
    assert.equal((await portsOf(second, host))[0]?.[1], start + 1);
  });

  it('test_serial_console_release_port: all ports of a server with several are free once it is deleted', async () => {
    const start = await freeRow(3);
    const host = await startHost(A, `${start}:${start + 3}`);
    const id = await house.boot(host, { metadata: { 'hw:serial_port_count': '3' } });
    assert.deepEqual(await portsOf(id, host, 3), [0, 1, 2].map((index) => [A, start + index]));
    await house.ask('2.90', 'DELETE', `/servers/${id}`);
    for (const index of [0, 1, 2]) await occupy(A, start + index);
  });

  it('test_flavor: as many ports as the metadata says, each of another user', async () => {
    const start = await freeRow(3);
    const host = await startHost(A, `${start}:${start + 3}`);
    const id = await house.boot(host, { metadata: { 'hw:serial_port_count': '3' } });
    assert.equal(new Set((await portsOf(id, host, 3)).map(([, port]) => port)).size, 3);
    await assert.rejects(portsOf(id, host, 4), refused('NO_PORT_FREE', /no port of this console is free/));
  });

  it('test_flavor_invalid_value: a number of ports that cannot be is refused before there is a server', async () => {
    const host = await startHost(A, null);
    for (const count of ['foo', '0', '-1', '1.5', '5', '', ' 2']) {
      const server = { name: 'vm', imageRef: '', flavorRef: '1', networks: 'none', availability_zone: `nova:${host}`, metadata: { 'hw:serial_port_count': count } };
      const { status, body } = await house.ask('2.90', 'POST', '/servers', { server });
      assert.equal(status, 400, `${count}: ${JSON.stringify(body)}`);
      assert.match(JSON.stringify(body), /hw:serial_port_count.*must be a number from 1 to 4/);
    }
  });

  it('two hosts that share an address and a range never collide', async () => {
    const start = await freeRow(6);
    const range = `${start}:${start + 6}`;
    const hosts = [await startHost(A, range), await startHost(A, range)];
    const ports = await Promise.all([0, 1, 2, 3, 4, 5].map((index) => bootWithPort(hosts[index % 2] ?? '')));
    assert.deepEqual([...ports].sort(), [0, 1, 2, 3, 4, 5].map((index) => start + index));
  });
});
