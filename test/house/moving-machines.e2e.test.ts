/** Bug 1455252 as Tempest tests it, and what users of consoles see of every action that takes a machine away from them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { ENDINGS } from '@gatehouse/errors/endings';
import type { EndReason } from '@gatehouse/errors/endings';
import { LostTime } from '../servers/lost-time.ts';
import type { Stretch } from '../servers/lost-time.ts';
import { ComputeClient } from './compute-client.ts';
import { ConsoleSocket, RFB_GREETING } from './console-socket.ts';
import { TwoHosts } from './two-hosts.ts';
import type { Host } from './two-hosts.ts';

/** From the revocation, whose time stands in the session's row, to the end on the user's screen: the promise, of a machine that has time. */
const ENDS_WITHIN_MS = 1_000;
/** From the request for the action: before it revokes, the api reads, writes and asks others. */
const ENDS_AFTER_REQUEST_MS = 3_000;
const SETTLES_WITHIN_MS = 30_000;
/** An agent counts as gone when it has not reported for 20 s. */
const HOST_GONE_WITHIN_MS = 40_000;

interface Requested {
  readonly atMs: number;
  readonly stretch: Stretch;
}

interface Consoles {
  readonly id: string;
  readonly urls: readonly string[];
  readonly sockets: readonly ConsoleSocket[];
}

describe('machines that move between two hosts which share a range of ports', function () {
  this.timeout(180_000);
  let hosts: TwoHosts;
  let compute: ComputeClient;
  let cellDb: CellDb;
  let lostTime: LostTime;

  before(async () => {
    lostTime = new LostTime();
    hosts = await TwoHosts.start();
    compute = new ComputeClient(hosts.apiUrl);
    cellDb = await openCellDb({ url: hosts.cellDatabaseUrl });
  });

  after(async () => {
    await cellDb?.close();
    await hosts?.stop();
    await lostTime?.stop();
  });

  const begin = (): Requested => ({ atMs: Date.now(), stretch: lostTime.begin() });

  async function machineOn(host: Host, name: string, metadata: Record<string, string> = {}): Promise<string> {
    const id = await compute.createServerOnceHostIsKnown(name, { availability_zone: `nova:${host}`, metadata });
    await compute.awaitActive(id);
    return id;
  }

  const server = async (id: string) => (await compute.request('GET', `/servers/${id}`)).body['server'] as Record<string, unknown>;

  async function awaitStatus(id: string, wanted: string): Promise<Record<string, unknown>> {
    const deadline = Date.now() + SETTLES_WITHIN_MS;
    for (;;) {
      const shown = await server(id);
      if (shown['status'] === wanted && shown['OS-EXT-STS:task_state'] === null) return shown;
      assert.ok(Date.now() < deadline, `${String(shown['status'])} ${String(shown['OS-EXT-STS:task_state'])}, not ${wanted}\n${hosts.logs.slice(-3_000)}`);
      await sleep(50);
    }
  }

  async function act(id: string, action: string, body: unknown = null, status = 202): Promise<void> {
    const answer = await compute.request('POST', `/servers/${id}/action`, { [action]: body });
    assert.equal(answer.status, status, JSON.stringify(answer.body));
  }

  /** Sends text and reads it back. */
  async function talk(socket: ConsoleSocket): Promise<void> {
    await socket.awaitText(/\$ /);
    const word = randomBytes(6).toString('hex');
    socket.send(`echo ${word}\r`);
    await socket.awaitText(new RegExp(`\r\n${word}\r\n`));
  }

  /** A screen and a serial console, both open and answering. */
  async function openConsoles(id: string): Promise<Consoles> {
    const urls = [await compute.consoleUrl(id, 'vnc'), await compute.consoleUrl(id, 'serial')];
    const [screen, serial] = [await ConsoleSocket.open(urls[0]!), await ConsoleSocket.open(urls[1]!)];
    await screen.awaitText(RFB_GREETING);
    await talk(serial);
    return { id, urls, sockets: [screen, serial] };
  }

  /** Both consoles have ended in time, with the reason's code and words, and neither link opens anything any more. */
  async function ended({ id, urls, sockets }: Consoles, reason: EndReason, requested: Requested): Promise<void> {
    const { close: code, words } = ENDINGS[reason];
    for (const socket of sockets) assert.deepEqual(await socket.closed, { code, reason: words });
    const closedMs = Math.max(...sockets.map(({ closedAtMs }) => closedAtMs ?? Infinity));
    const sessions = await cellDb.consoleSessions.list({ instanceUuid: id }, { state: 'all', limit: sockets.length });
    assert.deepEqual(sessions.map(({ endingReason }) => endingReason), sockets.map(() => reason));
    const revokedMs = Math.min(...sessions.map(({ endingAt }) => endingAt?.getTime() ?? 0));
    const lostMs = await requested.stretch.lostMs();
    assert.ok(closedMs - revokedMs <= ENDS_WITHIN_MS + lostMs, `the consoles ended ${closedMs - revokedMs} ms after the revocation, ${lostMs} ms of which were lost`);
    assert.ok(closedMs - requested.atMs <= ENDS_AFTER_REQUEST_MS + lostMs, `the consoles ended ${closedMs - requested.atMs} ms after the request, ${lostMs} ms of which were lost`);
    for (const url of urls) assert.equal((await (await ConsoleSocket.open(url)).closed).code, 4401);
  }

  async function consolesWork(id: string): Promise<void> {
    const { sockets } = await openConsoles(id);
    for (const socket of sockets) socket.close();
    for (const socket of sockets) await socket.closed;
    // The serial port is asked for again: consoleauth hears from the proxy that it was left.
    for (const deadline = Date.now() + SETTLES_WITHIN_MS; (await cellDb.consoleSessions.listOpenByInstance(id)).length > 0; await sleep(20)) {
      assert.ok(Date.now() < deadline, 'consoleauth has not heard that the consoles were left');
    }
  }

  const portsOf = async (id: string) =>
    (await cellDb.consoleConnections.listByInstance(id)).filter(({ consoleType }) => consoleType === 'serial').map(({ host, port }) => [host, port]);

  /** The rows that the agents told consoleauth of. */
  async function awaitPorts(id: string, host: Host): Promise<number[]> {
    const deadline = Date.now() + SETTLES_WITHIN_MS;
    for (;;) {
      const ports = await portsOf(id);
      if (ports.length > 0 && ports.every(([where]) => where === host)) return ports.map(([, port]) => Number(port));
      assert.ok(Date.now() < deadline, `${JSON.stringify(ports)}, not on ${host}`);
      await sleep(50);
    }
  }

  /** Nobody listens there any more. */
  async function awaitSilence(port: number): Promise<void> {
    const answers = () => new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    for (const deadline = Date.now() + SETTLES_WITHIN_MS; await answers(); await sleep(200)) assert.ok(Date.now() < deadline, `port ${port} is still served`);
  }

  /** As soon as the instance's host counts as gone. */
  async function evacuate(id: string): Promise<void> {
    const deadline = Date.now() + HOST_GONE_WITHIN_MS;
    while ((await compute.request('POST', `/servers/${id}/action`, { evacuate: {} })).status !== 200) {
      assert.ok(Date.now() < deadline, 'the dead host still counts as alive');
      await sleep(500);
    }
  }

  it('gives each machine a port of its own, though both hosts begin with the same', async () => {
    const one = await machineOn('compute-1', 'one');
    const two = await machineOn('compute-2', 'two', { 'hw:serial_port_count': '2' });
    const [ports, others] = [await awaitPorts(one, 'compute-1'), await awaitPorts(two, 'compute-2')];
    assert.deepEqual(ports, [hosts.firstPort]);
    assert.deepEqual(others, [hosts.firstPort + 1, hosts.firstPort + 2]);
    await Promise.all([one, two].map(consolesWork));
    await Promise.all([one, two].map((id) => compute.request('DELETE', `/servers/${id}`)));
  });

  it('moves a running machine to the host of another: both consoles work, the old link and session do not', async () => {
    const [staying, moving] = [await machineOn('compute-1', 'staying'), await machineOn('compute-2', 'moving')];
    const before = await awaitPorts(moving, 'compute-2');
    const open = await openConsoles(moving);
    const request = begin();
    await act(moving, 'os-migrateLive', { host: 'compute-1', block_migration: 'auto' });
    await ended(open, 'instance_migrated', request);
    assert.equal((await awaitStatus(moving, 'ACTIVE'))['OS-EXT-SRV-ATTR:host'], 'compute-1');
    const after = await awaitPorts(moving, 'compute-1');
    assert.notDeepEqual(after, before, 'its new host found a port of its own while the old one was taken');
    await Promise.all([staying, moving].map(consolesWork));
    await Promise.all([staying, moving].map((id) => compute.request('DELETE', `/servers/${id}`)));
  });

  it('ends the consoles of one that is deleted', async () => {
    const id = await machineOn('compute-1', 'deleted');
    const open = await openConsoles(id);
    const request = begin();
    assert.equal((await compute.request('DELETE', `/servers/${id}`)).status, 204);
    await ended(open, 'instance_deleted', request);
  });

  it('ends the consoles of one that is stopped, says so to who asks for one, and opens them when it runs again', async () => {
    const id = await machineOn('compute-1', 'stopped');
    const open = await openConsoles(id);
    const request = begin();
    await act(id, 'os-stop');
    await ended(open, 'instance_stopped', request);
    await awaitStatus(id, 'SHUTOFF');
    const refused = await compute.requestConsole(id, 'serial');
    assert.equal(refused.status, 409);
    assert.match(JSON.stringify(refused.body), /is stopped; its consoles open when it runs/);
    await act(id, 'os-start');
    await awaitStatus(id, 'ACTIVE');
    await consolesWork(id);
    await compute.request('DELETE', `/servers/${id}`);
  });

  for (const [action, body, reason, status] of [
    ['reboot', { type: 'HARD' }, 'instance_rebooted', 'ACTIVE'],
    ['rebuild', { imageRef: 'cirros' }, 'instance_rebuilt', 'ACTIVE'],
    ['resize', { flavorRef: '2' }, 'instance_resized', 'VERIFY_RESIZE'],
    ['migrate', null, 'instance_migrated', 'VERIFY_RESIZE'],
  ] as const) {
    it(`ends the consoles at ${action}, and opens new ones where the machine runs then`, async () => {
      const id = await machineOn('compute-1', action);
      const open = await openConsoles(id);
      const request = begin();
      await act(id, action, body);
      await ended(open, reason, request);
      const shown = await awaitStatus(id, status);
      assert.equal(shown['OS-EXT-SRV-ATTR:host'], status === 'ACTIVE' ? 'compute-1' : 'compute-2');
      await consolesWork(id);
      await compute.request('DELETE', `/servers/${id}`);
    });
  }

  it('takes a resize back: to its old host, with its old flavor, its consoles ended once more', async () => {
    const id = await machineOn('compute-1', 'reverted');
    await act(id, 'resize', { flavorRef: '3' });
    await awaitStatus(id, 'VERIFY_RESIZE');
    const open = await openConsoles(id);
    const request = begin();
    await act(id, 'revertResize');
    await ended(open, 'instance_resized', request);
    const shown = await awaitStatus(id, 'ACTIVE');
    assert.deepEqual([shown['OS-EXT-SRV-ATTR:host'], (shown['flavor'] as { original_name: string }).original_name], ['compute-1', '1']);
    await consolesWork(id);
    await act(id, 'resize', { flavorRef: '3' });
    await awaitStatus(id, 'VERIFY_RESIZE');
    await act(id, 'confirmResize', null, 204);
    await awaitStatus(id, 'ACTIVE');
    await consolesWork(id);
    await compute.request('DELETE', `/servers/${id}`);
  });

  it('ends the consoles of one that is shelved, which is on no host until it is unshelved', async () => {
    const id = await machineOn('compute-1', 'shelved');
    const open = await openConsoles(id);
    const request = begin();
    await act(id, 'shelve');
    await ended(open, 'instance_shelved', request);
    assert.equal((await awaitStatus(id, 'SHELVED_OFFLOADED'))['OS-EXT-SRV-ATTR:host'], null);
    assert.equal((await compute.requestConsole(id, 'vnc')).status, 409);
    await act(id, 'unshelve');
    await awaitStatus(id, 'ACTIVE');
    await consolesWork(id);
    await compute.request('DELETE', `/servers/${id}`);
  });

  it('evacuates the machines of a host that has died, and the host that comes back has nothing of them', async () => {
    const id = await machineOn('compute-1', 'evacuated');
    const early = await compute.request('POST', `/servers/${id}/action`, { evacuate: {} });
    assert.equal(early.status, 400);
    assert.match(JSON.stringify(early.body), /Compute service of compute-1 is still in use/);
    const { urls, sockets } = await openConsoles(id);
    await hosts.killHost('compute-1');
    // The bytes went through the host: they end with it, not with the evacuation.
    for (const socket of sockets) await socket.closed;
    await evacuate(id);
    assert.equal((await awaitStatus(id, 'ACTIVE'))['OS-EXT-SRV-ATTR:host'], 'compute-2');
    for (const url of urls) assert.equal((await (await ConsoleSocket.open(url)).closed).code, 4401);
    await consolesWork(id);
    await hosts.startHost('compute-1');
    await consolesWork(id);
    assert.deepEqual((await portsOf(id)).map(([host]) => host), ['compute-2']);
    await compute.request('DELETE', `/servers/${id}`);
  });

  it('says why to who is still on a machine that is evacuated from a host that hangs, which lets go of it when it goes on', async () => {
    const id = await machineOn('compute-1', 'hung');
    const [port = 0] = await awaitPorts(id, 'compute-1');
    const { urls, sockets } = await openConsoles(id);
    hosts.freezeHost('compute-1');
    try {
      await evacuate(id);
      // The serial port is dialled, and nobody there hangs up; the screen goes through the agent, whose silence may have ended it.
      const { close: code, words: reason } = ENDINGS.instance_evacuated;
      assert.deepEqual(await sockets.at(-1)?.closed, { code, reason });
      for (const url of urls) assert.equal((await (await ConsoleSocket.open(url)).closed).code, 4401);
      assert.equal((await awaitStatus(id, 'ACTIVE'))['OS-EXT-SRV-ATTR:host'], 'compute-2');
      await consolesWork(id);
    } finally {
      hosts.thawHost('compute-1');
    }
    await awaitSilence(port);
    await consolesWork(id);
    assert.deepEqual((await portsOf(id)).map(([host]) => host), ['compute-2']);
    await compute.request('DELETE', `/servers/${id}`);
  });

  it('is told to an operator in words what it cannot do', async () => {
    const id = await machineOn('compute-1', 'refused');
    const refusals: readonly (readonly [string, unknown, number, RegExp])[] = [
      ['os-start', null, 409, /Cannot 'start' instance .* while it is in vm_state active/],
      ['confirmResize', null, 409, /Cannot 'confirmResize' instance .* while it is in vm_state active/],
      ['unshelve', null, 409, /Cannot 'unshelve' instance .* while it is in vm_state active/],
      ['os-migrateLive', { host: 'compute-1', block_migration: 'auto' }, 400, /Unable to migrate instance .* to current host \(compute-1\)/],
      ['os-migrateLive', { host: 'nowhere', block_migration: 'auto' }, 400, /Compute host nowhere could not be found/],
      ['resize', { flavorRef: '1' }, 400, /When resizing, instances must change flavor!/],
    ];
    for (const [action, body, status, words] of refusals) {
      const answer = await compute.request('POST', `/servers/${id}/action`, { [action]: body });
      assert.equal(answer.status, status, action);
      assert.match(JSON.stringify(answer.body), words);
    }
    await consolesWork(id);
    await compute.request('DELETE', `/servers/${id}`);
  });
});
