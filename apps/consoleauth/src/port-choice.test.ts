import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { chooseExclusivePort, refusePortInUse } from './port-choice.ts';
import type { Port } from './port-choice.ts';

const now = new Date('2026-07-01T12:00:00Z');
const soon = new Date('2026-07-01T12:01:00Z');
const free = (port: number): Port => ({ port, reservedBy: null, reservedUntil: null, inUseSince: null });
const used = (port: number): Port => ({ ...free(port), inUseSince: new Date('2026-07-01T11:14:00Z') });
const reserved = (port: number, by: string, until = soon): Port => ({ ...free(port), reservedBy: by, reservedUntil: until });

const inUse = (words: RegExp) => (error: unknown) => error instanceof ServiceError && error.code === 'PORT_IN_USE' && words.test(error.message);

describe('the choice of an exclusive port', () => {
  it('refuses when every port is in use or reserved, and counts them', () => {
    assert.throws(() => chooseExclusivePort([used(0), reserved(1, 'bob')], 'alice', now), inUse(/1 of 2 in use, 1 reserved/));
  });

  it('takes the first free one in order', () => {
    assert.equal(chooseExclusivePort([used(0), free(1), free(2)], 'alice', now).port, 1);
  });

  it("passes over another user's reservation but supersedes one's own", () => {
    assert.equal(chooseExclusivePort([reserved(0, 'bob'), free(1)], 'alice', now).port, 1);
    assert.equal(chooseExclusivePort([reserved(0, 'alice'), free(1)], 'alice', now).port, 0);
  });

  it('frees a reservation the moment it runs out', () => {
    assert.equal(chooseExclusivePort([reserved(0, 'bob', now)], 'alice', now).port, 0);
  });
});

describe('a client at an exclusive port', () => {
  it('is refused with the time since when it is in use', () => {
    assert.throws(() => refusePortInUse(used(0), 'alice', now), inUse(/in use since 11:14:00 UTC/));
  });

  it('is refused while the port is promised to another user, admitted when promised to them', () => {
    assert.throws(() => refusePortInUse(reserved(0, 'bob'), 'alice', now), inUse(/promised to another/));
    refusePortInUse(reserved(0, 'alice'), 'alice', now);
    refusePortInUse(free(0), 'alice', now);
  });
});
