import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Instance } from '@gatehouse/objects/instance';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { freePortRange } from '../../../../../test/servers/free-port.ts';
import { computeAgentConfig } from '../../config.ts';
import { TcpPorts } from '../tcp-ports.ts';
import { SimulatedDriver } from './simulated-driver.ts';

const ADDRESS = '127.0.0.1';
const PORTS = 4;

const UUIDS = ['3f2b8c1e-9f4d-4c36-8a57-0d2f6f1a9b77', '9b0f3f0e-55a7-4a52-9d0c-2f4f6f1e7a01', '5c0f3f0e-55a7-4a52-9d0c-2f4f6f1e7a02'] as const;

function instance(uuid: string, serialPorts = 1): Instance {
  return Instance.make({
    uuid, projectId: 'demo', userId: 'demo', displayName: 'web', hostname: 'web', host: 'host-a', vmState: 'active', taskState: null,
    keyName: null, keyData: null, userData: null, metadata: { 'hw:serial_port_count': String(serialPorts) },
  });
}

describe('the setting of serial ports on TCP', () => {
  for (const wrong of ['40000:30000', '10000:10000', '10000', '0:10', '1:65537', '10000-20000', ' 1:2:3', 'a:b']) {
    it(`is not ${JSON.stringify(wrong)}, and the words say what would be right`, () => {
      const { error } = computeAgentConfig.shape.serialPortRange.safeParse(wrong);
      assert.match(error?.issues[0]?.message ?? '', /^set a range of ports such as 10000:20000/);
    });
  }

  for (const wrong of ['0.0.0.0', '::', 'a b', '']) {
    it(`does not listen on ${JSON.stringify(wrong)}, which nobody can dial`, () => {
      assert.match(computeAgentConfig.shape.serialListen.safeParse(wrong).error?.issues[0]?.message ?? '', /not 0\.0\.0\.0/);
    });
  }

  it("is Nova's default, and any other range with a port in it", () => {
    assert.deepEqual(computeAgentConfig.parse({}).serialPortRange, { start: 10_000, stop: 20_000 });
    assert.deepEqual(computeAgentConfig.parse({ serialPortRange: '30000:40000' }).serialPortRange, { start: 30_000, stop: 40_000 });
    assert.equal(computeAgentConfig.parse({ serialListen: '::1' }).serialListen, '::1');
  });
});

describe('simulated guests that serve their serial ports by TCP', () => {
  const drivers: SimulatedDriver[] = [];
  const sockets: Socket[] = [];
  let busy: Server | null = null;
  let start: number;
  let range: { readonly start: number; readonly stop: number };

  before(async () => {
    start = await freePortRange(PORTS);
    range = { start, stop: start + PORTS };
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const driver of drivers.splice(0)) await driver.close();
    busy?.close();
    busy = null;
  });

  function makeDriver(host = 'host-a'): SimulatedDriver {
    const driver = new SimulatedDriver({ host, clock: new TestClock(), tcpPorts: new TcpPorts(ADDRESS, range) });
    drivers.push(driver);
    return driver;
  }

  const portsOf = async (driver: SimulatedDriver, uuid: string) => (await driver.consoles(uuid, 'serial')).map(({ port }) => port - start);

  async function dial(port: number): Promise<{ readonly socket: Socket; text(): string }> {
    const socket = connect({ host: ADDRESS, port: start + port });
    let text = '';
    socket.on('data', (bytes: Buffer) => (text += bytes.toString())).on('error', () => {});
    sockets.push(socket);
    await once(socket, 'connect');
    return { socket, text: () => text };
  }

  async function until(condition: () => boolean): Promise<void> {
    const deadline = Date.now() + 10_000;
    while (!condition()) {
      assert.ok(Date.now() < deadline, `not in time: ${condition.toString()}`);
      await sleep(5);
    }
  }

  it('refuse in words when every port of the range is taken, and hold none of them', async () => {
    const driver = makeDriver();
    await driver.spawn(instance(UUIDS[0], 3));
    await assert.rejects(driver.spawn(instance(UUIDS[1], 2)), {
      code: 'RESOURCE_EXHAUSTED',
      message: new RegExp(`Not able to bind any port for a serial console on 127.0.0.1: all from ${range.start} to ${range.stop - 1} are taken; widen GATEHOUSE_SERIAL_PORT_RANGE`),
    });
    assert.equal(await driver.powerState(UUIDS[1]), 'absent');
    await driver.spawn(instance(UUIDS[2], 1));
    assert.deepEqual(await portsOf(driver, UUIDS[2]), [3]);
  });

  it('refuse in words on a host without the address', async () => {
    const driver = new SimulatedDriver({ host: 'h', clock: new TestClock(), tcpPorts: new TcpPorts('192.0.2.1', range) });
    await assert.rejects(driver.spawn(instance(UUIDS[0])), { code: 'FAILED_PRECONDITION', message: /cannot listen on 192\.0\.2\.1 \(EADDRNOTAVAIL\); set GATEHOUSE_SERIAL_LISTEN/ });
  });

  it('pass over a port that another program or another host has, and take it when it is free', async () => {
    busy = createServer().listen(start, ADDRESS);
    await once(busy, 'listening');
    const [one, two] = [makeDriver(), makeDriver('host-b')];
    await one.spawn(instance(UUIDS[0], 2));
    await two.spawn(instance(UUIDS[1]));
    assert.deepEqual([await portsOf(one, UUIDS[0]), await portsOf(two, UUIDS[1])], [[1, 2], [3]]);
    busy.close();
    await once(busy, 'close');
    await one.stop(UUIDS[0]);
    assert.deepEqual(await one.consoles(UUIDS[0], 'serial'), []);
    await two.spawn(instance(UUIDS[2], 3));
    assert.deepEqual(await portsOf(two, UUIDS[2]), [0, 1, 2]);
    await assert.rejects(one.spawn(instance(UUIDS[0], 1)), { code: 'RESOURCE_EXHAUSTED' });
    await two.destroy(UUIDS[1]);
    await one.spawn(instance(UUIDS[0], 1));
    assert.deepEqual(await portsOf(one, UUIDS[0]), [3]);
  });

  it('say where each is dialled; the screen is the agent\'s, and so the agent opens no such port', async () => {
    const driver = makeDriver();
    await driver.spawn(instance(UUIDS[0]));
    const [serial] = await driver.consoles(UUIDS[0], 'serial');
    assert.deepEqual([serial?.host, serial?.options], ['host-a', { transport: 'tcp', address: ADDRESS }]);
    assert.equal((await driver.consoles(UUIDS[0], 'novnc'))[0]?.options['transport'], 'attach');
    await assert.rejects(driver.open(UUIDS[0], 'serial', 0), { code: 'NOT_FOUND', message: /reached by TCP/ });
  });

  it('serve one client at a time: the next is connected, hears nothing, and is served when the first has gone', async () => {
    const driver = makeDriver();
    await driver.spawn(instance(UUIDS[0]));
    const first = await dial(0);
    first.socket.write('echo one\r');
    await until(() => /\r\none\r\n/.test(first.text()));
    const second = await dial(0);
    second.socket.write('echo two\r');
    await dial(0);
    const fourth = await dial(0);
    await once(fourth.socket, 'close');
    await sleep(50);
    assert.equal(second.text(), '');
    first.socket.destroy();
    await until(() => /\r\ntwo\r\n/.test(second.text()));
    assert.match((await driver.serialLog(UUIDS[0])).toString(), /\r\none\r\n[^]*\r\ntwo\r\n/);
  });

  it('end their clients when they are switched off', async () => {
    const driver = makeDriver();
    await driver.spawn(instance(UUIDS[0]));
    const { socket } = await dial(0);
    const waiting = await dial(0);
    await driver.stop(UUIDS[0]);
    if (!socket.closed) await once(socket, 'close');
    if (!waiting.socket.closed) await once(waiting.socket, 'close');
    await assert.rejects(dial(0), { code: 'ECONNREFUSED' });
  });
});
