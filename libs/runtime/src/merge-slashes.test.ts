import assert from 'node:assert/strict';
import { mergeSlashes } from './merge-slashes.ts';

describe('a run of slashes', () => {
  for (const [url, merged] of [
    ['//v2.1//servers///detail//', '/v2.1/servers/detail/'],
    ['///', '/'],
    ['//?next=//a', '/?next=//a'],
    ['/v2.1/servers?next=//a//b', '/v2.1/servers?next=//a//b'],
    ['/v2.1/os-keypairs/a%2F%2Fb', '/v2.1/os-keypairs/a%2F%2Fb'],
    ['http://host//v2.1', 'http://host//v2.1'],
    ['*', '*'],
    ['', ''],
  ] as const) {
    it(`in ${JSON.stringify(url)} ${url === merged ? 'stays' : `is one: ${merged}`}`, () => assert.equal(mergeSlashes(url), merged));
  }

  it('without end is merged in a moment', () => {
    assert.equal(mergeSlashes('/'.repeat(1_000_000)), '/');
  });
});
