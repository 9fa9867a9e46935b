import assert from 'node:assert/strict';
import { isServiceError } from '@gatehouse/errors/service-error';
import { identityNone } from './identity.ts';

describe('identity none', () => {
  for (const token of [undefined, '', ':', 'a:', ':b', 'a:b:c', 'a b', 'u:p, u:p', 'ü:p', 'a'.repeat(65), `a:${'b'.repeat(65)}`, 'u:p\n']) {
    it(`refuses ${JSON.stringify(token?.slice(0, 20))} and does not repeat it`, async () => {
      await assert.rejects(identityNone.authenticate(token), (error: unknown) => {
        assert.ok(isServiceError(error));
        assert.equal(error.code, 'UNAUTHENTICATED');
        assert.match(error.message, /user:project/);
        if ((token ?? '').length > 8) assert.ok(!error.message.includes(token ?? ''));
        return true;
      });
    });
  }

  it('takes user and project from the token', async () => {
    const caller = await identityNone.authenticate('alice:proj-1');
    assert.deepEqual([caller.userId, caller.projectId, caller.isAdmin], ['alice', 'proj-1', false]);
  });

  it('gives a bare user the project of that name, as Nova does', async () => {
    assert.equal((await identityNone.authenticate('alice')).projectId, 'alice');
  });

  it('knows admin, in any project, and the client that sends no credentials', async () => {
    assert.equal((await identityNone.authenticate('admin:p')).isAdmin, true);
    const client = await identityNone.authenticate('notused');
    assert.deepEqual([client.userId, client.projectId, client.isAdmin], ['admin', 'default', true]);
  });
});
