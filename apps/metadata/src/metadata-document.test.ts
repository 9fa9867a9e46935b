import assert from 'node:assert/strict';
import { JSON_TYPE, seededFile, walk } from '@gatehouse/instance-metadata/metadata-tree';
import { documentOf, namesTag, opaque } from './metadata-document.ts';

describe('a document of metadata', () => {
  const seeded = async (values: object) => {
    const before = `${JSON.stringify(values).slice(0, -1)},"random_seed":"`;
    return documentOf(await walk(seededFile(() => ({ before, after: '","last":1}', seedBytes: 512 }), JSON_TYPE), []));
  };

  it('has another seed each time, and the same tag', async () => {
    // Whoever names a key so does not get in the way.
    const meta = { 'random_seed': '"random_seed":"', ключ: 'значение' };
    const document = await seeded({ meta });
    assert.equal(document.bytes, Buffer.byteLength(document.content()));
    const seeds = new Set<unknown>();
    for (let each = 0; each < 50; each += 1) {
      const { random_seed: seed, ...rest } = JSON.parse(document.content().toString()) as Record<string, unknown>;
      assert.deepEqual(rest, { meta, last: 1 });
      assert.equal(Buffer.from(String(seed), 'base64').length, 512);
      seeds.add(seed);
    }
    assert.equal(seeds.size, 50);
    assert.match(document.etag, /^W\/"[\w-]{22}"$/);
    assert.equal(document.etag, (await seeded({ meta })).etag, 'at every service the same');
    assert.notEqual(document.etag, (await seeded({ meta: {} })).etag);
  });

  it('has a strong tag where its bytes are always the same', () => {
    const document = documentOf({ type: 'text/plain', content: 'ä' });
    assert.match(document.etag, /^"[\w-]{22}"$/);
    assert.equal(document.content().toString(), 'ä');
    assert.equal(document.bytes, 2);
    assert.notEqual(document.etag, documentOf({ type: 'text/html', content: 'ä' }).etag);
  });

  it('is named by a list of tags, weak or not, and by a star', () => {
    for (const [list, isNamed] of [
      ['"a"', true], ['W/"a"', true], ['"b", W/"a"', true], ['*', true], ['a', true], ['"b"', false], ['', false], ['"', false], ['W/', false], ['"a', false],
    ] as const) {
      assert.equal(namesTag(list, 'W/"a"'), isNamed, list);
      assert.equal(namesTag(list, '"a"'), isNamed, list);
    }
    assert.equal(opaque(' W/"a" '), 'a');
  });
});
