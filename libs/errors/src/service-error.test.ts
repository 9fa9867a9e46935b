import assert from 'node:assert/strict';
import { ERRORS } from './error-table.ts';
import { ENDINGS, END_REASONS, endingOf } from './endings.ts';
import { ERROR_CODES, ServiceError, isErrorCode, isServiceError, toServiceError } from './service-error.ts';

describe('ServiceError', () => {
  it('hides the words of a foreign error and keeps it as the cause', () => {
    const foreign = new Error('password=hunter2');
    const error = toServiceError(foreign);
    assert.equal(error.code, 'INTERNAL');
    assert.ok(!error.message.includes('hunter2'));
    assert.equal(error.cause, foreign);
  });

  it('passes through unchanged', () => {
    const error = new ServiceError('NOT_FOUND', 'no such instance');
    assert.equal(toServiceError(error), error);
    assert.ok(isServiceError(error));
  });

  it('knows its codes and no other', () => {
    assert.ok(isErrorCode('PORT_IN_USE'));
    assert.ok(!isErrorCode('toString'));
    assert.ok(!isErrorCode(4));
  });
});

describe('the error table', () => {
  it('has exactly one row a code, each with a close code of its own in the private range', () => {
    assert.deepEqual(Object.keys(ERRORS).sort(), [...ERROR_CODES].sort());
    const closes = Object.values(ERRORS).map((row) => row.close);
    assert.equal(new Set(closes).size, closes.length);
    for (const close of closes) assert.ok(close >= 4000 && close <= 4999);
  });

  it('has words of at most 123 bytes for every ending, the limit of a close frame', () => {
    assert.deepEqual(Object.keys(ENDINGS).sort(), [...END_REASONS].sort());
    for (const ending of Object.values(ENDINGS)) assert.ok(Buffer.byteLength(ending.words) <= 123);
  });

  it('shows an unknown reason by name, cut to fit', () => {
    assert.match(endingOf('maintenance').words, /maintenance/);
    assert.ok(Buffer.byteLength(endingOf('x'.repeat(500)).words) <= 123);
    assert.equal(endingOf('constructor').close, ENDINGS.ended_by_operator.close);
  });
});
