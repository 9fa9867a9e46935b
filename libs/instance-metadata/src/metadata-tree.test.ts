import assert from 'node:assert/strict';
import { filesOf, file, folder, folderOf, stepsOf, walk } from './metadata-tree.ts';
import { SSH_KEY, factsOf, read, readText } from './testing.ts';

const MISSING = { code: 'NOT_FOUND' } as const;

describe('a path through the trees', () => {
  for (const path of [
    '/latest/meta-data/hostname/x', '/openstack/latest/meta_data.json/x', '/openstack/content', '/openstack/content/0000', '/openstack/content/__proto__', '/openstack/latest/content',
    '/openstack/latest/version/x', '/latest/meta-data/public-keys/1', '/latest/meta-data/public-keys/00', '/latest/meta-data/security-groups/default', '/ec2/openstack', '/openstack/ec2',
    '/openstack/1.0', '/2012-08-10', '/latest/meta-data/kernel-id', '/latest/meta-data/ramdisk-id', '/2011-01-01', '/latest/dynamic', '/%ff', '/latest/meta-data/hasOwnProperty', '/ec2/ec2',
  ]) {
    it(`leads nowhere: ${path}`, async () => assert.rejects(read(factsOf(), path), MISSING));
  }

  it('leads nowhere beyond its depth', () => assert.throws(() => stepsOf('/a'.repeat(21)), MISSING));

  it('may have slashes, dots and signs in percent, and may begin with ec2', async () => {
    for (const path of ['/latest/meta-data/public-keys/0/openssh-key', '//ec2//latest/./meta-data/../meta-data/public%2Dkeys/0/openssh-key/', '/../latest/meta-data/public-keys/0/openssh-key']) {
      assert.equal(await readText(factsOf(), path), SSH_KEY);
    }
  });

  it('meets only what it goes through: nothing else is made', async () => {
    const never = (): never => assert.fail('made');
    const root = folder(() => ({ a: folder(() => ({ b: file(async () => 'content') })), c: folder(never), d: file(never) }));
    assert.deepEqual(await walk(root, ['a', 'b']), { type: 'text/plain; charset=UTF-8', content: 'content' });
    assert.deepEqual((await walk(root, [])).content, 'a/\nc/\nd');
    const made: string[] = [];
    const versions = folderOf(['1', '2'], (name) => folder(() => ({ name: file(() => (made.push(name), name)) })));
    assert.equal((await walk(versions, ['2', 'name'])).content, '2');
    assert.deepEqual([made, (await walk(versions, [])).content], [['2'], '1/\n2/']);
    await assert.rejects(walk(versions, ['__proto__']), MISSING);
  });

  it('tells of a document what stays the same: all but its seed', async () => {
    const answers = [await read(factsOf(), '/openstack/latest/meta_data.json'), await read(factsOf(), '/openstack/latest/meta_data.json')] as const;
    assert.notEqual(answers[0].content, answers[1].content);
    assert.deepEqual(answers[0].seeded, answers[1].seeded);
    assert.notDeepEqual((await read(factsOf({ hostname: 'b' }), '/openstack/latest/meta_data.json')).seeded, answers[0].seeded);
    assert.equal((await read(factsOf(), '/openstack/2012-08-10/meta_data.json')).seeded, undefined);
  });

  it('tells what depends on more than the instance', async () => {
    const live = ['/openstack', '/openstack/latest/password', '/openstack/latest/vendor_data.json', '/openstack/latest/vendor_data2.json', '/latest/meta-data/local-ipv4'];
    for (const path of live) assert.equal((await read(factsOf(), path)).isLive, true, path);
    for (const path of ['/openstack/latest/meta_data.json', '/openstack/latest/network_data.json', '/openstack/latest', '/latest/meta-data/', '/latest/meta-data/hostname']) assert.equal((await read(factsOf(), path)).isLive, undefined, path);
  });

  it('is known of every file of a tree', () => {
    const tree = folder(() => ({ a: file(() => ''), b: folder(() => ({ c: file(() => '') }), null) }));
    assert.deepEqual(filesOf(tree).map(({ path }) => path), ['a', 'b/c']);
  });
});
