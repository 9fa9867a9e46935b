import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { ServiceError } from '@gatehouse/errors/service-error';
import { isWriteConflict, toDatabaseError } from './database-error.ts';

const wrapped = (originalCode: string) => ({
  name: 'PrismaClientKnownRequestError',
  code: 'P2010',
  message: 'Raw query failed',
  meta: { driverAdapterError: { name: 'DriverAdapterError', message: 'x', cause: { originalCode, originalMessage: 'x', kind: 'postgres' } } },
});

describe('an error of a database driver', () => {
  for (const [name, error, code] of [
    ['a refused connection', Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' }), 'UNAVAILABLE'],
    ['several refused connections', Object.assign(new AggregateError([Object.assign(new Error(''), { code: 'ECONNREFUSED' })]), {}), 'UNAVAILABLE'],
    ['a connection cut in the middle', new Error('Connection terminated unexpectedly'), 'UNAVAILABLE'],
    ['a pool that stayed full', new Error('timeout exceeded when trying to connect'), 'UNAVAILABLE'],
    ['a statement without an answer', new Error('Query read timeout'), 'UNAVAILABLE'],
    ['a wrong password', wrapped('28P01'), 'UNAVAILABLE'],
    ['a server that shuts down', wrapped('57P01'), 'UNAVAILABLE'],
    ['a server without free connections', wrapped('53300'), 'UNAVAILABLE'],
    ['a table that is not there', wrapped('42P01'), 'UNAVAILABLE'],
    ['a column that is not there', wrapped('42703'), 'UNAVAILABLE'],
    ['a user without the permission', wrapped('42501'), 'UNAVAILABLE'],
    ['a standby', wrapped('25006'), 'UNAVAILABLE'],
    ['a deadlock', wrapped('40P01'), 'UNAVAILABLE'],
    ['a unique violation', wrapped('23505'), 'ALREADY_EXISTS'],
    ['a missing parent row', wrapped('23503'), 'FAILED_PRECONDITION'],
    ['a text that is no uuid', wrapped('22P02'), 'INVALID_ARGUMENT'],
    ['a value that is too long', wrapped('22001'), 'INVALID_ARGUMENT'],
    ['a text with a NUL character', wrapped('22021'), 'INVALID_ARGUMENT'],
    ['a syntax error', wrapped('42601'), 'INTERNAL'],
    ['a unique violation in Prisma\'s words', { name: 'PrismaClientKnownRequestError', code: 'P2002', message: 'Unique constraint failed' }, 'ALREADY_EXISTS'],
    ['a transaction that took too long', { code: 'P2028', message: 'Transaction already closed' }, 'UNAVAILABLE'],
    ['nothing we know', 'a string', 'INTERNAL'],
    ['null', null, 'INTERNAL'],
  ] as const) {
    it(`is ${code} when it is ${name}`, () => {
      const converted = toDatabaseError(error);
      assert.equal(converted.code, code);
      assert.ok(converted.message.length > 10);
    });
  }

  it('is passed on when it is a ServiceError already, even inside another error', () => {
    const inner = new ServiceError('UNAVAILABLE', 'the embedded database is closed');
    assert.equal(toDatabaseError(inner), inner);
    assert.equal(toDatabaseError(new Error('outer', { cause: inner })), inner);
  });

  it('never shows the words of the driver, which may quote a row', () => {
    const error = toDatabaseError({ ...wrapped('23505'), message: 'Key (name)=(hidden) already exists' });
    assert.doesNotMatch(error.message, /hidden/);
  });

  it('ends on a chain of causes that turns in a circle', () => {
    const error = new Error('round');
    error.cause = error;
    assert.equal(toDatabaseError(error).code, 'INTERNAL', inspect(error));
  });

  it('is worth another try only when other transactions were in the way', () => {
    assert.ok(isWriteConflict(toDatabaseError(wrapped('40001'))));
    assert.ok(isWriteConflict(toDatabaseError({ code: 'P2034', message: 'conflict' })));
    assert.ok(!isWriteConflict(toDatabaseError(wrapped('57P01'))));
    assert.ok(!isWriteConflict(new Error('x')));
  });
});
