import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { createClient } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import { defineContract } from '@gatehouse/rpc/contract';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import { serve } from '@gatehouse/rpc/server';
import type { Handlers } from '@gatehouse/rpc/server';
import { SILENT } from '@gatehouse/rpc/transport';
import { compute } from './compute.ts';
import { consoleauth } from './consoleauth.ts';
import { askConsoleauth, FleetPins, RAISE_AFTER_MS } from './fleet-pins.ts';
import type { FleetLevels, PinSettings } from './fleet-pins.ts';

const newer = { topic: 'consoleauth', version: '3.4' };

/** Pins whose fleet and time are what the test says. */
function pinsOf(settings: PinSettings = {}) {
  const fleet: { levels: FleetLevels | ServiceError; asked: number; nowMs: number } = { levels: {}, asked: 0, nowMs: 0 };
  const ask = async (): Promise<FleetLevels> => {
    fleet.asked += 1;
    if (fleet.levels instanceof ServiceError) throw fleet.levels;
    return fleet.levels;
  };
  const pins = new FleetPins(settings, ask, { now: () => new Date(fleet.nowMs) }, SILENT);
  /** One round of reports after another, for so long. */
  const hear = async (levels: FleetLevels, forMs = 0): Promise<void> => {
    fleet.levels = levels;
    for (const until = fleet.nowMs + forMs; fleet.nowMs <= until; fleet.nowMs += 5_000) await pins.refresh();
  };
  return { pins, fleet, hear };
}

describe('the levels that clients speak', () => {
  it('are refused at start where a setting names one that its contract never had', () => {
    const { pins } = pinsOf({ rpcPinConsoleauth: '4.0', rpcPinCompute: '1.9' });
    const transport = createMemoryTransport();
    assert.throws(() => createClient(consoleauth, transport, { pin: pins.of(consoleauth) }), /^ServiceError: GATEHOUSE_RPC_PIN_CONSOLEAUTH=4\.0: consoleauth can only be pinned to a level from 3\.0 to 3\.\d+, not to 4\.0$/);
    assert.throws(() => createClient(compute, transport, { pin: pins.of(compute) }), /^ServiceError: GATEHOUSE_RPC_PIN_COMPUTE=1\.9: compute can only be pinned to a level from 1\.0 to 1\.\d+, not to 1\.9$/);
  });

  it('are those that settings name, and then nobody is asked', async () => {
    const { pins, hear, fleet } = pinsOf({ rpcPinConsoleauth: '3.0' });
    const pin = pins.of(consoleauth);
    await hear({ consoleauth: '3.1' }, 2 * RAISE_AFTER_MS);
    assert.deepEqual([pin.level, fleet.asked], ['3.0', 0]);
  });

  it('are the oldest of their major version until it was heard for a minute that all are newer', async () => {
    const { pins, hear } = pinsOf();
    const pin = pins.of(newer);
    assert.equal(pin.level, '3.0');
    await hear({ consoleauth: '3.3' }, RAISE_AFTER_MS - 5_000);
    assert.equal(pin.level, '3.0');
    await hear({ consoleauth: '3.2' });
    assert.equal(pin.level, '3.2', 'the lowest that was heard meanwhile');
  });

  it('go down at once, and up again only after another minute', async () => {
    const { pins, hear } = pinsOf();
    const pin = pins.of(newer);
    await hear({ consoleauth: '3.4' }, RAISE_AFTER_MS);
    assert.equal(pin.level, '3.4');
    await hear({ consoleauth: '3.1' });
    assert.equal(pin.level, '3.1');
    await hear({ consoleauth: '3.4' }, RAISE_AFTER_MS - 10_000);
    // One that is asked seldom shows itself.
    await hear({});
    assert.equal(pin.level, '3.0');
    await hear({ consoleauth: '3.4' }, RAISE_AFTER_MS - 10_000);
    assert.equal(pin.level, '3.0');
    await hear({ consoleauth: '3.4' }, 15_000);
    assert.equal(pin.level, '3.4');
  });

  it('never go above their contract, nor to another major version', async () => {
    const { pins, hear } = pinsOf();
    const pin = pins.of(newer);
    await hear({ consoleauth: '3.9' }, RAISE_AFTER_MS);
    assert.equal(pin.level, '3.4');
    for (const version of ['2.1', '4.0', 'nonsense', '']) {
      await hear({ consoleauth: version });
      assert.equal(pin.level, '3.0', version);
    }
  });

  it('stay while nobody answers', async () => {
    const { pins, hear, fleet } = pinsOf();
    const pin = pins.of(newer);
    await hear({ consoleauth: '3.4' }, RAISE_AFTER_MS);
    fleet.levels = new ServiceError('UNAVAILABLE', 'nobody serves consoleauth');
    await assert.rejects(pins.refresh());
    assert.equal(pin.level, '3.4');
  });

  it('are heard from consoleauth, whatever the level spoken to it; one too old to know says nothing', async () => {
    const transport = createMemoryTransport();
    const ask = askConsoleauth(transport);
    await assert.rejects(ask(), /nobody/);
    const old = defineContract({ topic: 'consoleauth', version: '3.0', methods: {} });
    const before = await serve(old, transport, { server: 'a', handlers: {} });
    assert.deepEqual(await ask(), {});
    await before.drain();
    const handlers = { levels: () => ({ consoleauth: '3.1', compute: '1.0' }) } as unknown as Handlers<typeof consoleauth>;
    await serve(consoleauth, transport, { server: 'b', handlers });
    assert.deepEqual(await ask(), { consoleauth: '3.1', compute: '1.0' });
    const pinned = createClient(consoleauth, transport, { pin: pinsOf().pins.of(consoleauth) });
    await assert.rejects(pinned.levels({}, newContext()), /came with 3\.1, and this client is pinned to 3\.0 \(GATEHOUSE_RPC_PIN_CONSOLEAUTH=auto\)/);
  });
});
