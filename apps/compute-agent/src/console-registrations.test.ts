import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Logger } from '@gatehouse/runtime/logger';
import { silentLogger } from '@gatehouse/runtime/logger';
import { ConsoleRegistrations } from './console-registrations.ts';

const GUESTS = 100;

describe('the consoles that an agent tells of', () => {
  const warned: string[] = [];
  const log: Logger = { ...silentLogger, warn: (...said: readonly unknown[]) => void warned.push(String(said.at(-1))) };
  let asked: string[] = [];
  let trouble: (instanceUuid: string) => ServiceError | null = () => null;

  function registrationsOf(guests: readonly string[]): ConsoleRegistrations {
    const register = async ({ instanceUuid }: { readonly instanceUuid: string }): Promise<number> => {
      asked.push(instanceUuid);
      await Promise.resolve();
      const refusal = trouble(instanceUuid);
      if (refusal !== null) throw refusal;
      return 0;
    };
    const registrations = new ConsoleRegistrations('compute-1', { consoles: async () => [] }, { register }, log);
    for (const uuid of guests) registrations.note(uuid);
    return registrations;
  }

  beforeEach(() => {
    asked = [];
    warned.length = 0;
  });

  it('wait for the next round when nobody hears them, and the log says so once', async () => {
    const guests = Array.from({ length: GUESTS }, () => randomUUID());
    const registrations = registrationsOf(guests);
    trouble = () => new ServiceError('DEADLINE_EXCEEDED', 'no answer');
    for (let round = 1; round <= 3; round += 1) {
      await registrations.tellDue();
      assert.ok(asked.length <= round * 8, `${asked.length} were told of in vain`);
    }
    assert.deepEqual(warned, ['consoleauth does not take the consoles of guests at the moment; it is told again']);
    asked = [];
    trouble = () => null;
    await registrations.tellDue();
    assert.deepEqual(asked.sort(), guests.sort());
    asked = [];
    await registrations.tellDue();
    assert.deepEqual(asked, []);
  });

  it('of one guest that are refused hold up no other, and the log says why once', async () => {
    const guests = Array.from({ length: GUESTS }, () => randomUUID());
    const registrations = registrationsOf(guests);
    trouble = (uuid) => (uuid === guests[0] ? new ServiceError('ALREADY_EXISTS', 'the port is another\'s') : null);
    for (let round = 0; round < 3; round += 1) await registrations.tellDue();
    assert.equal(asked.length, GUESTS + 2);
    assert.deepEqual(warned, ['the consoles of a guest could not be registered yet']);
  });
});
