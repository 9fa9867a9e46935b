import assert from 'node:assert/strict';
import type { AuditEvent, AuditFacts } from './audit.ts';
import { RefusalLimit } from './refusal-limit.ts';
import { TestClock } from './test-clock.ts';

describe('the bound on lines about refusals', () => {
  let clock: TestClock;
  let lines: (AuditFacts & { readonly event: AuditEvent })[];
  let audit: RefusalLimit;

  beforeEach(() => {
    clock = new TestClock();
    lines = [];
    const file = { write: (event: AuditEvent, facts: AuditFacts) => void lines.push({ event, ...facts }), check() {} };
    audit = new RefusalLimit(file, clock, { stretchMs: 10_000, ofEach: 3, ofAll: 5 });
  });

  const refuse = (clientAddress: string, times = 1): void => {
    for (let time = 0; time < times; time += 1) audit.write('refused', { proxy: 'p', clientAddress, reason: 'UNAUTHENTICATED', problem: `${time}` });
  };

  it('writes so many of one address, then how many there were more, and begins anew', async () => {
    refuse('10.0.0.1', 1_000);
    assert.deepEqual(lines.map(({ problem }) => problem), ['0', '1', '2']);
    await clock.advance(9_999);
    assert.equal(lines.length, 3);
    await clock.advance(1);
    assert.deepEqual(lines.slice(3), [{ event: 'refused', proxy: 'p', clientAddress: '10.0.0.1', reason: 'UNAUTHENTICATED', leftOut: 997 }]);
    refuse('10.0.0.1');
    assert.equal(lines.length, 5);
  });

  it('leaves others and other events alone', () => {
    refuse('10.0.0.1', 100);
    refuse('10.0.0.2');
    for (let time = 0; time < 20; time += 1) audit.write('ended', { sessionId: `${time}`, clientAddress: '10.0.0.1' });
    assert.deepEqual([lines.filter(({ clientAddress }) => clientAddress === '10.0.0.2').length, lines.filter(({ event }) => event === 'ended').length], [1, 20]);
  });

  it('keeps a reason apart from a flood of another, and takes the addresses of an IPv6 /64 for one', async () => {
    for (let time = 0; time < 50; time += 1) refuse(`2001:db8::${time + 1}`);
    audit.write('refused', { proxy: 'p', clientAddress: '2001:db8::7', reason: 'PERMISSION_DENIED' });
    assert.deepEqual(lines.map(({ reason }) => reason), ['UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED', 'PERMISSION_DENIED']);
    await clock.advance(10_000);
    assert.deepEqual(lines.slice(4), [{ event: 'refused', proxy: 'p', clientAddress: '2001:db8:0:0::/64', reason: 'UNAUTHENTICATED', leftOut: 47 }]);
  });

  it('counts by user where no address is known', async () => {
    for (let time = 0; time < 5; time += 1) audit.write('refused', { userId: 'alice', instanceUuid: 'i' });
    await clock.advance(10_000);
    assert.deepEqual(lines.slice(3), [{ event: 'refused', userId: 'alice', reason: undefined, leftOut: 2 }]);
  });

  it('is bound as a whole, so that many addresses are no way around it, and every refusal is counted', async () => {
    for (let address = 0; address < 50; address += 1) refuse(`10.0.1.${address}`, 2);
    assert.equal(lines.length, 5);
    await clock.advance(10_000);
    const counted = lines.slice(0, 5).length + lines.slice(5).reduce((sum, { leftOut }) => sum + (leftOut ?? 0), 0);
    assert.equal(counted, 100);
    assert.deepEqual(lines.at(-1), { event: 'refused', reason: 'UNAUTHENTICATED', leftOut: 94 });
  });

  it('holds no timer while nobody is refused, and loses no count when it is flushed early', async () => {
    audit.write('connected', {});
    assert.equal(clock.pending, 0);
    refuse('10.0.0.1', 5);
    audit.flush();
    assert.deepEqual([lines.at(-1)?.leftOut, clock.pending], [2, 0]);
    await clock.advance(60_000);
    assert.equal(lines.length, 5);
  });
});
