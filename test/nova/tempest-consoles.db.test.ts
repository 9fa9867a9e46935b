/**
 * Replays what Tempest checks of consoles from the outside: tempest/api/compute/servers/test_novnc.py and
 * test_live_migration_serial_console of tempest/api/compute/admin/test_live_migration.py (bug 1455252), and what Nova's own
 * tests say of tokens and ports when a server moves.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { newContext } from '@gatehouse/rpc/context';
import type { App } from '@gatehouse/runtime/app';
import { ConsoleSocket } from '../house/console-socket.ts';
import { awaitStatus, startWholeHouse } from './whole-house.ts';
import type { Answer, WholeHouse } from './whole-house.ts';

// Both hosts give out the same ports, at addresses of their own: two servers have the same port until one moves.
const RANGE = '31500:31600';
const MOVED_MS_MAX = 30_000;

describe("Tempest's tests of consoles", function () {
  this.timeout(90_000);
  let house: WholeHouse;
  const agents: App[] = [];

  before(async () => {
    house = await startWholeHouse([]);
    for (const [host, serialListen] of [['compute-1', '127.0.0.1'], ['compute-2', '127.0.0.2']] as const) {
      agents.push(await house.startAgent(host, { simulatedTcp: 'true', serialListen, serialPortRange: RANGE }));
    }
  });
  after(async () => {
    for (const agent of agents) await agent.drain();
    await house?.stop();
  });

  function askConsole(id: string, protocol: 'vnc' | 'serial', user: string): Promise<Answer> {
    const type = protocol === 'vnc' ? 'novnc' : 'serial';
    return house.ask('2.6', 'POST', `/servers/${id}/remote-consoles`, { remote_console: { protocol, type } }, user);
  }

  async function consoleUrl(id: string, protocol: 'vnc' | 'serial', user = 'demo:demo'): Promise<string> {
    const { status, body } = await askConsole(id, protocol, user);
    assert.equal(status, 200, JSON.stringify(body));
    return (body['remote_console'] as { url: string }).url;
  }

  async function hostOf(id: string): Promise<string> {
    const { body } = await house.ask('2.90', 'GET', `/servers/${id}`, undefined, 'admin:demo');
    return String((body['server'] as Record<string, unknown>)['OS-EXT-SRV-ATTR:host']);
  }

  async function liveMigrate(id: string, host: string): Promise<void> {
    const { status, body } = await house.ask('2.30', 'POST', `/servers/${id}/action`, { 'os-migrateLive': { host, block_migration: 'auto' } }, 'admin:demo');
    assert.equal(status, 202, JSON.stringify(body));
    for (const until = Date.now() + MOVED_MS_MAX; (await hostOf(id)) !== host; await sleep(50)) assert.ok(Date.now() < until, 'it does not arrive');
    await awaitStatus(house.ask, id, 'ACTIVE');
  }

  /** Tempest's interaction: connect, type, read it back. */
  async function converse(url: string, words: string): Promise<void> {
    const socket = await ConsoleSocket.open(url);
    socket.send(`echo ${words}\r`);
    await socket.awaitText(new RegExp(words));
    socket.close();
    await socket.closed;
  }

  it('test_novnc: the page is there, the WebSocket opens with the token, and RFB is spoken to the first picture', async () => {
    const url = await consoleUrl(await house.boot('compute-1'), 'vnc');
    const page = await fetch(url);
    const html = await page.text();
    assert.equal(page.status, 200);
    assert.match(html, /<html/i);
    assert.match(html, /<script/);
    assert.match(await loadedFrom(url, html), /noVNC/i);

    const socket = await ConsoleSocket.open(url);
    await socket.awaitText(/^RFB (\d{3})\.(\d{3})\n/s);
    assert.ok(Number(socket.text.slice(4, 7)) + Number(socket.text.slice(8, 11)) / 1_000 >= 3.003);
    socket.send(socket.text.slice(0, 12));
    const [count = 0] = await bytesOf(socket, 12, 1);
    const types = await bytesOf(socket, 13, count);
    assert.ok(types.includes(1), `type None is not among ${[...types].join(', ')}`);
    socket.send('\x01');
    assert.deepEqual([...(await bytesOf(socket, 13 + count, 4))], [0, 0, 0, 0]);
    // Shared, as noVNC asks.
    socket.send('\x01');
    const init = await bytesOf(socket, 17 + count, 24);
    const name = await bytesOf(socket, 41 + count, init.readUInt32BE(20));
    assert.match(name.toString('utf8'), /vm/);
    socket.close();
    await socket.closed;
  });

  it('test_novnc_bad_token: the connection closes, and nothing came before', async () => {
    const url = await consoleUrl(await house.boot('compute-1'), 'vnc');
    const socket = await ConsoleSocket.open(url.replace(/token=(.*)$/, 'token=bad$1'));
    const { code, reason } = await socket.closed;
    assert.deepEqual([code, socket.text], [4401, '']);
    assert.match(reason, /unknown or has expired/);
  });

  it('bug 1425640: every port of a server is reached, by one user each; who comes too late is told', async () => {
    const id = await house.boot('compute-1', { metadata: { 'hw:serial_port_count': '2' } });
    const urls = [await consoleUrl(id, 'serial', 'first:demo'), await consoleUrl(id, 'serial', 'second:demo')];
    const sockets = await Promise.all(urls.map((url) => ConsoleSocket.open(url)));
    for (const [index, socket] of sockets.entries()) {
      socket.send(`echo user-${index}\r`);
      await socket.awaitText(new RegExp(`user-${index}`));
    }
    const { status, body } = await askConsole(id, 'serial', 'third:demo');
    assert.equal(status, 409, JSON.stringify(body));
    assert.match(JSON.stringify(body), /no port of this console is free: 2 of 2 in use/);
    const again = await (await ConsoleSocket.open(urls[0] ?? '')).closed;
    assert.equal(again.code, 4409);
    assert.match(again.reason, /in use since/);
    for (const socket of sockets) {
      assert.doesNotMatch(socket.text, /user-0[^]*user-1|user-1[^]*user-0/);
      socket.close();
      await socket.closed;
    }
  });

  it('test_live_migration_serial_console: two servers had the same port on two hosts; on one host both consoles work', async () => {
    const [moves, stays] = await bootWithOnePort();
    await liveMigrate(moves, 'compute-2');
    const [moved, stayed] = [await portOf(moves, 'compute-2'), await portOf(stays, 'compute-2')];
    assert.equal(moved.options['address'], stayed.options['address']);
    assert.notEqual(moved.port, stayed.port);
    await converse(await consoleUrl(moves, 'serial'), 'moved');
    await converse(await consoleUrl(stays, 'serial'), 'stayed');
  });

  it('test_post_live_migration_update_host: the tokens of before the move open nothing, and who was connected reads why', async () => {
    const id = await house.boot('compute-1');
    const urls = [await consoleUrl(id, 'vnc'), await consoleUrl(id, 'serial')];
    const sockets = await Promise.all(urls.map((url) => ConsoleSocket.open(url)));
    for (const socket of sockets) await socket.awaitText(/./s);
    await liveMigrate(id, 'compute-2');
    for (const socket of sockets) assert.deepEqual((await socket.closed).code, 4031);
    for (const url of urls) assert.equal((await (await ConsoleSocket.open(url)).closed).code, 4401);
  });

  it('what Nova leaves to a token\'s age: stop, reboot, rebuild, resize and shelve revoke the tokens too, each with its reason', async () => {
    const id = await house.boot('compute-1');
    for (const [action, argument, code, after] of [
      ['reboot', { type: 'HARD' }, 4027, 'ACTIVE'],
      ['rebuild', { imageRef: '70a599e0-31e7-49b7-b260-868f441e862b' }, 4028, 'ACTIVE'],
      ['os-stop', null, 4021, 'SHUTOFF'],
      ['os-start', null, null, 'ACTIVE'],
      ['resize', { flavorRef: '2' }, 4029, 'VERIFY_RESIZE'],
      ['confirmResize', null, null, 'ACTIVE'],
      ['shelve', null, 4030, 'SHELVED_OFFLOADED'],
    ] as const) {
      const url = code === null ? null : await consoleUrl(id, 'serial');
      const socket = url === null ? null : await ConsoleSocket.open(url);
      await socket?.awaitText(/./s);
      const { status, body } = await house.ask('2.79', 'POST', `/servers/${id}/action`, { [action]: argument });
      assert.ok(status === 202 || status === 204, JSON.stringify(body));
      if (socket !== null) assert.equal((await socket.closed).code, code, action);
      if (url !== null) assert.equal((await (await ConsoleSocket.open(url)).closed).code, 4401, action);
      await awaitStatus(house.ask, id, after);
    }
  });

  function portOf(instanceUuid: string, host: string): Promise<ConsoleConnection> {
    const context = newContext({ userId: 'demo', projectId: 'demo' });
    return house.compute.getConsole({ instanceUuid, consoleType: 'serial' }, context, { server: host });
  }

  /** A server on each host, both with the same port number. */
  async function bootWithOnePort(): Promise<readonly [first: string, second: string]> {
    const newest: string[] = ['', ''];
    const ports = [0, 0];
    for (let tries = 0; tries < 20; tries += 1) {
      // Whoever is behind gets the next port of its range.
      const index = (ports[0] ?? 0) <= (ports[1] ?? 0) ? 0 : 1;
      const host = `compute-${index + 1}`;
      newest[index] = await house.boot(host);
      ports[index] = (await portOf(newest[index] ?? '', host)).port;
      if (ports[0] === ports[1]) return [newest[0] ?? '', newest[1] ?? ''];
    }
    return assert.fail('no two servers got the same port');
  }

  /** What the page's scripts are, one step deep. */
  async function loadedFrom(url: string, html: string): Promise<string> {
    const paths = [...html.matchAll(/<script[^>]* src="([^"]+)"/g)].map(([, path = '']) => new URL(path, url));
    return (await Promise.all(paths.map(async (path) => (await fetch(path)).text()))).join('\n');
  }

  async function bytesOf(socket: ConsoleSocket, from: number, count: number): Promise<Buffer> {
    await socket.awaitText(new RegExp(`^[^]{${from + count}}`));
    return Buffer.from(socket.text.slice(from, from + count), 'latin1');
  }
});
