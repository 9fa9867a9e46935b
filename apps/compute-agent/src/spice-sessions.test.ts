import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { ConsoleEnded } from '@gatehouse/console-stream/console-ended';
import { isServiceError } from '@gatehouse/errors/service-error';
import { ConsoleConnection } from '@gatehouse/objects/console-connection';
import { SPICE_CHANNELS_MAX, SpiceSessions } from './spice-sessions.ts';

const MACHINE = '4f6d0f0a-6a54-4b3c-9d55-1d2f6a0b7c11';
const OTHER = '9b2d7c1e-0f43-4c6a-8f58-6f0d5a3e2b22';

describe('the SPICE sessions of a host', () => {
  const connectionOf = (instanceUuid: string): ConsoleConnection =>
    ConsoleConnection.make({ instanceUuid, host: 'h', port: 0, consoleType: 'spice-html5', tokenHash: null, accessUrl: null, options: { transport: 'attach' }, expires: null });
  let sessions: SpiceSessions;
  beforeEach(() => (sessions = new SpiceSessions()));

  function begin(sessionId: string, attachSecret = 'secret', instanceUuid = MACHINE): { main: PassThrough; ended: Promise<string> } {
    const main = new PassThrough();
    const ended = once(main, 'error').then(([error]: unknown[]) => (error instanceof ConsoleEnded ? error.reason : String(error)));
    main.on('error', () => {});
    sessions.begin({ sessionId, attachSecret }, connectionOf(instanceUuid), main);
    return { main, ended };
  }

  it('admit no channel of a session that is not open, nor with another secret', () => {
    begin('a');
    assert.equal(sessions.consoleOf({ sessionId: 'b', attachSecret: 'secret' }), null);
    assert.equal(sessions.consoleOf({ sessionId: 'a', attachSecret: 'other' }), null);
  });

  it('admit no channel once the first has ended, and end those that are there', async () => {
    const { main } = begin('a');
    const channel = new PassThrough();
    sessions.add('a', channel);
    main.destroy();
    await once(channel, 'close');
    assert.equal(sessions.consoleOf({ sessionId: 'a', attachSecret: 'secret' }), null);
    const late = new PassThrough();
    sessions.add('a', late);
    assert.ok(late.destroyed);
  });

  it('admit as many channels as a client may have, and no more until one has gone', async () => {
    begin('a');
    const open = { sessionId: 'a', attachSecret: 'secret' };
    const channels = Array.from({ length: SPICE_CHANNELS_MAX }, () => new PassThrough());
    for (const channel of channels) {
      assert.equal(sessions.consoleOf(open)?.instanceUuid, MACHINE);
      sessions.add('a', channel);
    }
    assert.throws(() => sessions.consoleOf(open), (error: unknown) => isServiceError(error) && error.code === 'RESOURCE_EXHAUSTED');
    channels[0]!.destroy();
    await once(channels[0]!, 'close');
    assert.notEqual(sessions.consoleOf(open), null);
  });

  it('end for who opens the same screen, with words, and leave those of other machines', async () => {
    const first = begin('a');
    const elsewhere = begin('b', 'secret', OTHER);
    begin('c');
    assert.equal(await first.ended, 'screen_taken');
    assert.equal(elsewhere.main.destroyed, false);
  });

  it('go on with a new secret when they come back, and the old one opens nothing', async () => {
    const first = begin('a', 'first');
    const second = begin('a', 'second');
    assert.equal(await first.ended, 'superseded');
    await setImmediate();
    assert.equal(second.main.destroyed, false);
    assert.equal(sessions.consoleOf({ sessionId: 'a', attachSecret: 'first' }), null);
    assert.notEqual(sessions.consoleOf({ sessionId: 'a', attachSecret: 'second' }), null);
  });
});
