import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import { chooseExclusivePort, isExclusive, refusePortInUse } from './port-choice.ts';
import type { Port } from './port-choice.ts';

const now = new Date('2026-07-01T12:00:00Z');
const soon = new Date('2026-07-01T12:01:00Z');
const later = new Date('2026-07-01T12:02:00Z');
const free = (port: number): Port => ({ port, reservedBy: null, reservedUntil: null, reservedTokenHash: null, inUseSince: null });
const used = (port: number): Port => ({ ...free(port), inUseSince: new Date('2026-07-01T11:14:00Z') });
const reserved = (port: number, by: string | null, until = soon): Port =>
  ({ ...free(port), reservedBy: by, reservedUntil: until, reservedTokenHash: `newest of ${by}` });
const tokenOf = (userId: string | null, tokenHash = `newest of ${userId}`) => ({ userId, tokenHash });

const refused = (code: ErrorCode, words: RegExp) => (error: unknown) => error instanceof ServiceError && error.code === code && words.test(error.message);

describe('the choice of an exclusive port', () => {
  it('refuses when every port is in use or reserved, and counts them', () => {
    assert.throws(() => chooseExclusivePort([used(0), reserved(1, 'bob')], 'alice', now), refused('NO_PORT_FREE', /1 of 2 in use, 1 reserved/));
  });

  it('takes the first free one in order', () => {
    assert.equal(chooseExclusivePort([used(0), free(1), free(2)], 'alice', now).port, 1);
  });

  it("passes over every reservation while a port is free, one's own too: two links then open two ports", () => {
    assert.equal(chooseExclusivePort([reserved(0, 'bob'), free(1)], 'alice', now).port, 1);
    assert.equal(chooseExclusivePort([reserved(0, 'alice'), free(1)], 'alice', now).port, 1);
  });

  it("supersedes one's own oldest reservation when none is free, and nobody else's", () => {
    assert.equal(chooseExclusivePort([reserved(0, 'bob'), reserved(1, 'alice', later), reserved(2, 'alice', soon)], 'alice', now).port, 2);
  });

  it('lets nobody whom no request names supersede another such', () => {
    assert.throws(() => chooseExclusivePort([reserved(0, null)], null, now), refused('NO_PORT_FREE', /1 reserved/));
  });

  it('frees a reservation the moment it runs out', () => {
    assert.equal(chooseExclusivePort([reserved(0, 'bob', now)], 'alice', now).port, 0);
  });
});

describe('a client at an exclusive port', () => {
  it('is refused with the time since when it is in use', () => {
    assert.throws(() => refusePortInUse(used(0), tokenOf('alice'), now), refused('PORT_IN_USE', /in use since 11:14:00 UTC/));
  });

  it('is refused while the port is promised to another user', () => {
    assert.throws(() => refusePortInUse(reserved(0, 'bob'), tokenOf('alice'), now), refused('PORT_IN_USE', /promised to another/));
    assert.throws(() => refusePortInUse(reserved(0, null), tokenOf(null, 'older'), now), refused('PORT_IN_USE', /promised to another/));
  });

  it('is refused with an older link while the newer one may still come', () => {
    assert.throws(() => refusePortInUse(reserved(0, 'alice'), tokenOf('alice', 'older'), now), refused('PORT_IN_USE', /waits for a newer link of yours/));
  });

  it('is admitted with the link that was promised the port, and with any when nobody was', () => {
    refusePortInUse(reserved(0, 'alice'), tokenOf('alice'), now);
    refusePortInUse(reserved(0, 'bob', now), tokenOf('alice', 'older'), now);
    refusePortInUse(free(0), tokenOf('alice'), now);
  });

  it('is admitted with any link of the user to whom an older consoleauth promised the port, and nobody else is', () => {
    const byOlder = (user: string): Port => ({ ...reserved(0, user), reservedTokenHash: null });
    assert.throws(() => refusePortInUse(byOlder('bob'), tokenOf('alice'), now), refused('PORT_IN_USE', /promised to another/));
    assert.throws(() => refusePortInUse(byOlder(''), tokenOf('alice'), now), refused('PORT_IN_USE', /promised to another/));
    refusePortInUse(byOlder('alice'), tokenOf('alice', 'any'), now);
    refusePortInUse(byOlder(''), tokenOf(null, 'any'), now);
  });
});

describe('the policy of exclusive consoles', () => {
  it('is serial always, and others where it names them', () => {
    assert.equal(isExclusive('serial', []), true);
    assert.equal(isExclusive('novnc', []), false);
    assert.equal(isExclusive('novnc', ['novnc']), true);
  });
});
