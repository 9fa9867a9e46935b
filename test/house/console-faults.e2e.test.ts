/** 200 consoles are open, and processes of the house are killed: who loses a console is told, who does not works on, and the accounts add up. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { artifactPath } from '../servers/artifacts.ts';
import { CrowdedHouse } from './crowded-house.ts';

/** The default, which is the promise: a proxy that dies frees its ports within it. */
const LEASE_MS = 15_000;
/** After it, whoever sweeps has been by. */
const SWEEP_MS = 35_000;
/** Until users hear that a socket is closed. */
const HEARD_MS = 5_000;
/** Seven processes and two servers, on a machine that others use too. */
const SETUP_MS_MAX = 240_000;

describe('200 open consoles, and a process of the house is killed', function () {
  this.timeout(120_000);
  // What came after a failure would say nothing.
  this.bail(true);
  let house: CrowdedHouse;

  before(async function () {
    this.timeout(SETUP_MS_MAX);
    house = await CrowdedHouse.start({ machines: 50, viewersAMachine: 3 });
  });

  after(async () => {
    if (house !== undefined) writeFileSync(artifactPath('console-faults.log'), house.logs);
    await house?.stop();
  });

  const endings = async () => (await house.crowd.sessions()).filter(({ ended }) => ended).length;

  it('opens them, VNC and serial mixed, through two proxies on two hosts', async () => {
    assert.deepEqual(await house.crowd.fill(), []);
    await house.crowd.settle(10_000);
    assert.equal(house.crowd.open.length, 200);
  });

  it('one consoleauth of two: nobody notices, and new consoles open at once', async () => {
    const before = await endings();
    await house.kill('consoleauth-2');
    for (const console of house.crowd.open.slice(0, 20)) console.leave();
    await house.crowd.shrinkTo(180, HEARD_MS);
    // A user hears of the end before consoleauth does, and until then a port is taken.
    await house.crowd.settle(10_000);
    assert.deepEqual(await house.crowd.fill(), []);
    await house.crowd.settle(10_000);
    assert.deepEqual([house.crowd.open.length, await endings()], [200, before + 20]);
  });

  it('the other one too, for longer than a lease: consoles run on, and none is ended by mistake when they are back', async () => {
    const before = await endings();
    await house.kill('consoleauth');
    await sleep(LEASE_MS + 3_000);
    assert.deepEqual([house.crowd.open.length, await house.crowd.countSilent()], [200, 0]);
    await house.restart('consoleauth', 'consoleauth-2');
    await sleep(LEASE_MS + 3_000);
    await house.crowd.settle(10_000);
    assert.deepEqual([house.crowd.open.length, await endings()], [200, before]);
  });

  it('an agent: its consoles end with words, the other host works on, and after its return all open again', async () => {
    const doomed = new Set((await house.crowd.sessions()).filter(({ ended, host }) => !ended && host === 'compute-2').map(({ serverId }) => serverId));
    const others = house.crowd.open.filter(({ serverId }) => !doomed.has(serverId));
    await house.kill('compute-2');
    await house.crowd.settle(15_000);
    assert.ok(others.length >= 90 && others.every(({ end }) => end === null));
    assert.equal(house.crowd.open.length, others.length);
    assert.deepEqual([...house.crowd.told.keys()], ['4503 The connection to the host was lost.']);
    await house.restart('compute-2');
    assert.deepEqual(await house.crowd.fill(), []);
    await house.crowd.settle(10_000);
    assert.equal(house.crowd.open.length, 200);
  });

  it('a proxy: its ports are free within 15 s, the other proxy works on, and every session is accounted for', async () => {
    const carried = (await house.crowd.sessions()).filter(({ ended, proxy }) => !ended && proxy === 'proxy-2');
    const ports = new Set(carried.filter(({ protocol }) => protocol === 'serial').map(({ serverId }) => serverId));
    assert.ok(ports.size >= 5);
    const killedAt = Date.now();
    await house.kill('proxy-2');
    await house.crowd.shrinkTo(200 - carried.length, HEARD_MS);
    house.crowd.useProxies(house.proxyUrls.slice(0, 1));
    await house.crowd.fillAgainAndAgain(60_000);
    const freedMs = Date.now() - killedAt;
    console.log(`      ${carried.length} consoles, ${ports.size} of them on exclusive ports, were open again after ${freedMs} ms`);
    assert.equal(house.crowd.open.length, 200);
    assert.ok(freedMs < LEASE_MS + 5_000, `${freedMs} ms`);
    await house.crowd.settle(LEASE_MS + SWEEP_MS);
    const ended = new Map((await house.crowd.sessions()).map(({ id, reason }) => [id, reason]));
    assert.deepEqual([...new Set(carried.map(({ id }) => ended.get(id)))], ['lease_lost']);
  });
});
