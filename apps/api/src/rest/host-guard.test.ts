import assert from 'node:assert/strict';
import { isServiceError } from '@gatehouse/errors/service-error';
import { hostGuard } from './host-guard.ts';

describe('the Host header', () => {
  const guard = hostGuard(['API.example.org:8774', '10.0.0.5', '[fd00::5]']);

  for (const host of [undefined, '', 'evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', 'xlocalhost', '128.0.0.1', '127.0.0.256', '127.0.0.1:80:80', 'a b', '127.0.0.1@evil.example', 'localhost, evil.example', '[::2]', '0.0.0.0']) {
    it(`is refused when it is ${JSON.stringify(host)}`, () => {
      assert.throws(() => guard(host), (error: unknown) => isServiceError(error) && error.code === 'PERMISSION_DENIED');
    });
  }

  for (const host of ['127.0.0.1:8774', '127.1.2.3', 'localhost', 'LOCALHOST:1', 'gatehouse.localhost:8774', '[::1]:8774', 'api.example.org', 'api.example.org:443', '10.0.0.5:8774', '[fd00::5]:8774']) {
    it(`is accepted when it is ${host}`, () => guard(host));
  }
});
