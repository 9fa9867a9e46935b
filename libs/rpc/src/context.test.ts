import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { refusal, until } from './conformance.ts';
import { contextFromWire, contextToWire, newContext, withTimeout } from './context.ts';

/** Whether a context lasts as long from the moment on which it is read. */
function lasts(wire: Parameters<typeof contextFromWire>[0], ms: number): boolean {
  const least = Date.now() + ms;
  const { deadline } = contextFromWire(wire, ms);
  return deadline >= least && deadline <= Date.now() + ms;
}

describe('the context of a request', () => {
  it('is refused by its key where it is nonsense', () => {
    for (const key of ['request_id', 'global_request_id', 'user_id', 'project_id', 'traceparent']) {
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
    const [least, { requestId, userId, roles, deadline }] = [Date.now(), contextFromWire({}, null)];
    assert.match(requestId, /^req-[0-9a-f-]{36}$/);
    assert.deepEqual([userId, roles], [null, []]);
    assert.ok(deadline >= least + 60_000 && deadline <= Date.now() + 60_000);
    assert.ok(lasts({}, 5_000));
  });

  it('is read from all that Nova sends, keeps what it knows, and never the auth token', () => {
    const nova = {
      user: 'fake-user', project_id: 'fake-project', system_scope: null, project: 'fake-project', domain: null, user_domain: null, project_domain: null, is_admin: false,
      read_only: false, show_deleted: false, auth_token: 's3cret', request_id: 'req-1', global_request_id: 'req-2', resource_uuid: null, roles: ['member', 'reader'],
      user_identity: 'fake-user fake-project - - -', is_admin_project: true, user_id: 'fake-user', read_deleted: 'no', remote_address: null,
      timestamp: '2026-07-01T10:20:30.123456', quota_class: null, user_name: 'alice', service_catalog: [], project_name: 'demo',
    };
    const context = contextFromWire(nova, null);
    const { requestId, globalRequestId, userId, projectId, isAdmin, roles } = context;
    assert.deepEqual(
      { requestId, globalRequestId, userId, projectId, isAdmin, roles },
      { requestId: 'req-1', globalRequestId: 'req-2', userId: 'fake-user', projectId: 'fake-project', isAdmin: false, roles: ['member', 'reader'] },
    );
    assert.doesNotMatch(inspect(context, { depth: 9, showHidden: true }), /s3cret/);
    assert.deepEqual(Object.keys(contextToWire(context, 1)).sort(), ['deadline', 'global_request_id', 'is_admin', 'project_id', 'request_id', 'roles', 'user_id']);
  });

  it('does not mind what stands in the keys that it does not need', () => {
    for (const odd of [7, true, [], {}, Number.NaN, 2n ** 70n as never, 'x'.repeat(100_000)]) {
      const wire = { user_id: 'u', auth_token: odd, service_catalog: odd, timestamp: odd, read_deleted: odd, is_admin: odd === true ? 1 : odd, quota_class: odd, trace_info: odd, deadline: odd };
      const [least, { userId, isAdmin, deadline }] = [Date.now(), contextFromWire(wire, 5_000)];
      assert.deepEqual([userId, isAdmin], ['u', false]);
      assert.ok(deadline >= least + 5_000 && deadline <= Date.now() + 5_000);
    }
  });

  it('takes oslo.context\'s own names for who asks, where Nova\'s are not there', () => {
    const { userId, projectId } = contextFromWire({ user: 'u', project: 'p' }, null);
    assert.deepEqual([userId, projectId], ['u', 'p']);
  });

  it('says which request and which trace it belongs to, on both ways', () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const sent = newContext({ requestId: 'req-1', globalRequestId: 'req-2', traceparent, userId: 'u', projectId: 'p', isAdmin: true, roles: ['admin'] });
    for (const context of [sent, withTimeout(sent, 1_000)]) {
      const { requestId, globalRequestId, traceparent: trace, userId, projectId, isAdmin, roles } = contextFromWire(contextToWire(context, context.deadline), null);
      assert.deepEqual([requestId, globalRequestId, trace, userId, projectId, isAdmin, roles], ['req-1', 'req-2', traceparent, 'u', 'p', true, ['admin']]);
    }
  });

  it('keeps its deadline on the way, unless the clocks disagree', () => {
    const now = Date.now();
    assert.equal(contextFromWire({ deadline: now + 30_000 }, 50_000).deadline, now + 30_000);
    const late = Date.now() - 50;
    assert.equal(contextFromWire({ deadline: late }, 5_000).deadline, late);
    for (const deadline of [now + 3_600_000, now - 3_600_000, Number.NaN, 1e308]) {
      assert.ok(lasts({ deadline }, 5_000), String(deadline));
    }
    assert.ok(contextFromWire({}, 1e300).deadline < Date.now() + 3_700_000);
  });

  it('aborts at its deadline on a server', async () => {
    const signalFor = (ms: number) => contextFromWire(contextToWire(newContext({ timeoutMs: ms }), Date.now() + ms), null).signal;
    const [far, near] = [signalFor(30_000), signalFor(30)];
    await until(() => near?.aborted === true);
    assert.equal(far?.aborted, false);
  });

  it('can be given less time, never more', () => {
    const context = newContext({ timeoutMs: 60_000, userId: 'u' });
    assert.equal(withTimeout(context, 600_000).deadline, context.deadline);
    assert.ok(withTimeout(context, 10).deadline < context.deadline);
    assert.equal(withTimeout(context, 10).userId, 'u');
  });
});
