import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { refusal } from './conformance.ts';
import { contextFromWire, contextToWire, newContext, withTimeout } from './context.ts';

describe('the context of a request', () => {
  it('is refused by its key where it is nonsense', () => {
    for (const key of ['request_id', 'user_id', 'project_id', 'traceparent']) {
      for (const value of [7, {}, [], true, 'x'.repeat(256)]) {
        assert.throws(() => contextFromWire({ [key]: value }, null), refusal('INVALID_ARGUMENT', new RegExp(`^_context_${key}: `)));
      }
    }
    for (const roles of ['admin', [1], {}, Array.from({ length: 101 }, () => 'r')]) {
      assert.throws(() => contextFromWire({ roles }, null), refusal('INVALID_ARGUMENT', /^_context_roles: /));
    }
  });

  it('makes nobody an administrator who is not said to be one in so many words', () => {
    for (const value of ['true', 1, {}, null, 'True']) assert.equal(contextFromWire({ is_admin: value }, null).isAdmin, false);
    assert.equal(contextFromWire({ is_admin: true }, null).isAdmin, true);
  });

  it('is anonymous and lasts a minute when it says nothing, as long as its message when that does', () => {
    const { requestId, userId, roles, deadline } = contextFromWire({}, null);
    assert.match(requestId, /^req-[0-9a-f-]{36}$/);
    assert.deepEqual([userId, roles], [null, []]);
    assert.ok(Math.abs(deadline - Date.now() - 60_000) < 1_000);
    assert.ok(Math.abs(contextFromWire({}, 5_000).deadline - Date.now() - 5_000) < 1_000);
  });

  it('keeps its deadline on the way, unless the clocks disagree', () => {
    const now = Date.now();
    assert.equal(contextFromWire({ deadline: now + 3_000 }, 5_000).deadline, now + 3_000);
    assert.equal(contextFromWire({ deadline: now - 500 }, 5_000).deadline, now - 500);
    for (const deadline of [now + 3_600_000, now - 3_600_000, Number.NaN, 1e308]) {
      assert.ok(Math.abs(contextFromWire({ deadline }, 5_000).deadline - Date.now() - 5_000) < 1_000, String(deadline));
    }
    assert.ok(contextFromWire({}, 1e300).deadline < Date.now() + 3_700_000);
  });

  it('aborts at its deadline on a server', async () => {
    const { signal } = contextFromWire(contextToWire(newContext({ timeoutMs: 30 }), Date.now() + 30), null);
    assert.equal(signal?.aborted, false);
    await sleep(80);
    assert.equal(signal?.aborted, true);
  });

  it('can be given less time, never more', () => {
    const context = newContext({ timeoutMs: 1_000, userId: 'u' });
    assert.equal(withTimeout(context, 10_000).deadline, context.deadline);
    assert.ok(withTimeout(context, 10).deadline < context.deadline);
    assert.equal(withTimeout(context, 10).userId, 'u');
  });
});
