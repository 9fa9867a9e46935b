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
      assert.equal(details['path'], 'a.b');
    });
  }

  it('has the parts that oslo reads', () => {
    const failure = JSON.parse(encodeFailure(new ServiceError('NOT_FOUND', 'no such instance'))) as Failure;
    const { class: name, module, message, tb, args, kwargs } = failure;
    assert.deepEqual({ name, module, message, args }, { name: 'NotFound', module: 'nova.exception', message: 'no such instance', args: ['no such instance'] });
    assert.deepEqual(tb, ['Traceback (most recent call last):\n', 'nova.exception.NotFound: no such instance\n']);
    assert.deepEqual(kwargs, { code: 404, service_code: 'NOT_FOUND', details: {} });
  });

  it('gives no keywords to the constructors that take none, and loses nothing by it', () => {
    for (const [code, oslo] of [['UNIMPLEMENTED', undefined], ['UNIMPLEMENTED', 'NoSuchMethod'], ['UNIMPLEMENTED', 'UnsupportedVersion'], ['DEADLINE_EXCEEDED', 'MessagingTimeout']] as const) {
      const details: Record<string, string | number> = oslo === undefined ? { limit: 7 } : { oslo, limit: 7 };
      const text = encodeFailure(new ServiceError(code, 'not so', { details }));
      assert.deepEqual((JSON.parse(text) as Failure)['kwargs'], {});
      const error = decodeFailure(text);
      assert.equal(error.code, code);
      assert.deepEqual({ ...error.details, remoteClass: undefined }, { ...details, remoteClass: undefined });
    }
  });

  const objectRefusals: readonly (readonly [details: Record<string, string>, kwargs: Record<string, string>, words: string])[] = [
    [
      { oslo: 'IncompatibleObjectVersion', objname: 'KeyPair', received: '1.5', supported: '1.4' },
      { objver: '1.5', objname: 'KeyPair', supported: '1.4' },
      'Version 1.5 of KeyPair is not supported, supported version is 1.4',
    ],
    [{ oslo: 'UnsupportedObjectError', objtype: 'cinder.KeyPair' }, { objtype: 'cinder.KeyPair' }, 'Unsupported object type cinder.KeyPair'],
    [{ oslo: 'InvalidTargetVersion', version: '1.9' }, { version: '1.9' }, 'Invalid target version 1.9'],
    [{ oslo: 'ReadOnlyFieldError', field: 'host' }, { field: 'host' }, 'Cannot modify readonly field host'],
    [{ oslo: 'ObjectActionError', action: 'save', reason: 'no rule' }, { action: 'save', reason: 'no rule' }, 'Object action save failed because: no rule'],
  ];
  for (const [details, kwargs, words] of objectRefusals) {
    const name = String(details['oslo']);
    it(`says ${name} as oslo.versionedobjects does, and keeps our own words for ours`, () => {
      const text = encodeFailure(new ServiceError('INVALID_ARGUMENT', 'probe.echo.obj: not this one', { details: { path: 'probe.echo.obj', ...details } }));
      const failure = JSON.parse(text) as Failure;
      const carried = failure['kwargs'] as Failure;
      assert.deepEqual([failure['module'], failure['class'], failure['message'], failure['args']], ['oslo_versionedobjects.exception', name, words, [words]]);
      for (const [keyword, value] of Object.entries({ ...kwargs, code: 500 })) assert.equal(carried[keyword], value);
      const error = decodeFailure(text);
      assert.deepEqual([error.code, error.message], ['INVALID_ARGUMENT', 'probe.echo.obj: not this one']);
      assert.deepEqual(error.details, { path: 'probe.echo.obj', ...details, remoteClass: `oslo_versionedobjects.exception.${name}` });
    });

    it(`reads Python's ${name}`, () => {
      const error = decodeFailure(JSON.stringify({ class: name, module: 'oslo_versionedobjects.exception', message: words, tb: [], args: [words], kwargs: { ...kwargs, code: 500 } }));
      assert.equal(error.message, words);
      assert.deepEqual(error.details, { ...details, remoteClass: `oslo_versionedobjects.exception.${name}` });
    });
  }

  it('of Nova\'s means what the class means, and else what its status means', () => {
    const python = (name: string, kwargs: object, module = 'nova.exception'): string =>
      decodeFailure(JSON.stringify({ class: name, module, message: 'm', tb: [], args: ['m'], kwargs })).code;
    assert.equal(python('InstanceNotFound', { instance_id: 'x', code: 404 }), 'NOT_FOUND');
    assert.equal(python('InvalidToken', { token: '***', code: 400 }), 'UNAUTHENTICATED');
    assert.equal(python('ConsoleTypeInvalid', { console_type: 'x', code: 400 }), 'INVALID_ARGUMENT');
    assert.equal(python('ConsoleNotAvailable', { code: 404 }), 'NOT_FOUND');
    assert.equal(python('InstanceInvalidState', { code: 400 }), 'FAILED_PRECONDITION');
    assert.equal(python('KeyPairExists', { key_name: 'k', code: 500 }), 'ALREADY_EXISTS');
    assert.equal(python('KeypairLimitExceeded', { code: 413 }), 'RESOURCE_EXHAUSTED');
    assert.equal(python('KeypairNotFound', { code: 404 }), 'NOT_FOUND');
    assert.equal(python('SocketPortInUseException', { code: 500 }), 'PORT_IN_USE');
    assert.equal(python('CellTimeout', { code: 404 }), 'UNAVAILABLE');
    assert.equal(python('NovaException', { code: 500 }), 'INTERNAL');
    for (const code of [undefined, null, '404', 200, {}]) assert.equal(python('SomethingNew', { code }), 'INTERNAL');
    for (const module of ['cinder.exception', 'os', 'builtins', '', 'nova.exception.more']) assert.equal(python('InstanceNotFound', { code: 404 }, module), 'INTERNAL');
    assert.equal(python('MessagingTimeout', {}, 'oslo_messaging.exceptions'), 'DEADLINE_EXCEEDED');
    assert.equal(python('MessageUndeliverable', {}, 'oslo_messaging.exceptions'), 'UNAVAILABLE');
    assert.equal(python('RPCVersionCapError', {}, 'oslo_messaging.rpc.client'), 'UNIMPLEMENTED');
    for (const module of ['builtins', 'exceptions']) assert.equal(python('NotImplementedError', {}, module), 'UNIMPLEMENTED');
  });

  it('that a Python service passed on is what it was, without the traceback that oslo adds', () => {
    const original = JSON.parse(encodeFailure(new ServiceError('PORT_IN_USE', 'port 5900 is taken', { details: { port: 5900 } }))) as Failure & { message: string; tb: string[] };
    const again = { ...original, class: `${String(original['class'])}_Remote`, module: `${String(original['module'])}_Remote`, message: `${original.message}\n${original.tb.join('\n')}` };
    const error = decodeFailure(JSON.stringify(again));
    assert.deepEqual([error.code, error.message, error.details['port'], error.details['remoteClass']], ['PORT_IN_USE', 'port 5900 is taken', 5900, 'nova.exception.ConsoleTypeUnavailable']);
    const printed = [
      'it failed\nTraceback (most recent call last):\n\n  File "/secret/place.py"',
      "it failed\n['Traceback (most recent call last):\\n', '  File \"/secret/place.py\"",
      'it failed\\nTraceback (most recent call last):\\n\\n  File \\"/secret/place.py\\"',
    ];
    for (const message of printed) assert.equal(decodeFailure(JSON.stringify({ class: 'RemoteError', module: 'oslo_messaging.rpc.client', message })).message, 'it failed');
  });

  it('is read whatever numbers it holds', () => {
    assert.equal(decodeFailure('{"class": "ValueError", "module": "builtins", "message": "nan", "args": [NaN, 1180591620717411303424], "kwargs": {"x": Infinity}}').message, 'nan');
  });

  it('is read in every recording, with oslo\'s own refusals typed', () => {
    const failures = ['04-call-exceptions', '20-nova-object-call', '21-nova-backport'].flatMap(publishedIn).flatMap(({ body }) => {
      const { failure } = JSON.parse((JSON.parse(body) as Record<string, string>)['oslo.message'] ?? '') as { failure?: string | null };
      return typeof failure === 'string' ? [failure] : [];
    });
    assert.ok(failures.length >= 14);
    const codes: Readonly<Record<string, string>> = {
      NoSuchMethod: 'UNIMPLEMENTED', UnsupportedVersion: 'UNIMPLEMENTED', UnsupportedObjectError: 'INVALID_ARGUMENT', InstanceNotFound: 'NOT_FOUND', InvalidToken: 'UNAUTHENTICATED',
    };
    for (const text of failures) {
      const { class: name, module, message } = JSON.parse(text) as Failure;
      const error = decodeFailure(text);
      assert.equal(error.message, message === '' ? `${String(name)} without words` : message);
      assert.equal(error.details['remoteClass'], `${String(module)}.${String(name)}`);
      assert.equal(error.code, codes[String(name)] ?? 'INTERNAL');
    }
  });
});
