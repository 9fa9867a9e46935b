import assert from 'node:assert/strict';
import { ERROR_CODES, ServiceError } from '@gatehouse/errors/service-error';
import { refusal } from './conformance.ts';
import { decodeFailure, encodeFailure } from './failure.ts';
import { publishedIn } from './fixtures/test-vectors.ts';

type Failure = Record<string, unknown>;

describe('a failure on the wire', () => {
  it('that is nonsense becomes INTERNAL', () => {
    for (const text of ['', 'x', 'null', '[]', '7', '{}', '{"class": 1, "message": {}, "kwargs": []}', '{"kwargs": {"service_code": "constructor"}}', `"${'x'.repeat(2_000_000)}"`]) {
      refusal('INTERNAL')(decodeFailure(text));
    }
  });

  it('is cut to a length that can be shown', () => {
    assert.equal(decodeFailure(JSON.stringify({ message: 'x'.repeat(100_000) })).message.length, 2_000);
  });

  it('takes no more than plain details', () => {
    const { details } = decodeFailure('{"message": "m", "kwargs": {"service_code": "NOT_FOUND", "details": {"__proto__": "p", "a": 1, "b": {"c": 2}, "d": null}}}');
    assert.deepEqual(details, { a: 1, d: null });
  });

  it('shows nothing of an error that is not ours, and no stack of any', () => {
    const text = encodeFailure(new TypeError('cannot read token s3cret'));
    assert.doesNotMatch(text, /s3cret|TypeError|failure\.test/);
    assert.doesNotMatch(encodeFailure(new ServiceError('NOT_FOUND', 'no such instance')), /failure\.test/);
  });

  for (const code of ERROR_CODES) {
    it(`brings ${code} back with its words and details`, () => {
      const { message, details, code: got } = decodeFailure(encodeFailure(new ServiceError(code, 'no such thing', { details: { path: 'a.b' } })));
      assert.deepEqual([got, message], [code, 'no such thing']);
      // Python's built-ins take no keywords, so UNIMPLEMENTED travels without.
      if (code !== 'UNIMPLEMENTED') assert.equal(details['path'], 'a.b');
    });
  }

  it('has the parts that oslo reads', () => {
    const failure = JSON.parse(encodeFailure(new ServiceError('NOT_FOUND', 'no such instance'))) as Failure;
    const { class: name, module, message, tb, args, kwargs } = failure;
    assert.deepEqual({ name, module, message, args }, { name: 'NotFound', module: 'nova.exception', message: 'no such instance', args: ['no such instance'] });
    assert.deepEqual(tb, ['nova.exception.NotFound: no such instance\n']);
    assert.deepEqual(kwargs, { code: 404, service_code: 'NOT_FOUND', details: {} });
  });

  it('is read in every recording, with oslo\'s own refusals as UNIMPLEMENTED', () => {
    const failures = publishedIn('04-call-exceptions').flatMap(({ body }) => {
      const { failure } = JSON.parse((JSON.parse(body) as Record<string, string>)['oslo.message'] ?? '') as { failure?: string | null };
      return typeof failure === 'string' ? [failure] : [];
    });
    assert.ok(failures.length >= 10);
    for (const text of failures) {
      const { class: name, module, message } = JSON.parse(text) as Failure;
      const error = decodeFailure(text);
      assert.equal(error.message, message === '' ? `${String(name)} without words` : message);
      assert.equal(error.details['remoteClass'], `${String(module)}.${String(name)}`);
      assert.equal(error.code, module === 'oslo_messaging.rpc.dispatcher' ? 'UNIMPLEMENTED' : 'INTERNAL');
    }
  });
});
