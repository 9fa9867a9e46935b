/** Facts come from users, and names and texts in them may be anything: no listing, document or path is broken by them, and none leads out of the tree. */
import assert from 'node:assert/strict';
import { NO_VENDOR_DATA } from './vendor-data.ts';
import { CERTIFICATE, SSH_KEY, factsOf, keyPair, pathsOf, read, readMetaData, readText } from './testing.ts';
import { configDriveTree } from './whole-trees.ts';

const NAMES = ['a\n1=forged', 'a\r\nb', 'a\u2028b', 'a\u0085b', 'a\u000bb', '"quoted"', "it's", '../../etc/passwd', '/', '..', '\0', '__proto__', 'constructor', 'ü', '0=x', '\u202eabc', '\ud800', 'x'.repeat(255)];
/** Where Python's str.splitlines, which cloud-init uses, begins a new line. */
const LINE_ENDS = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/;

describe('hostile facts', () => {
  for (const name of NAMES) {
    it(`as the name of a key, of a file and of an entry: ${JSON.stringify(name).slice(0, 30)}`, async () => {
      const files = [{ path: name, contents: Buffer.from('content').toString('base64') }];
      const facts = factsOf({ keyPairs: [keyPair(name, SSH_KEY), keyPair('other', 'ssh-rsa AAAA')], metadata: JSON.parse(`{${JSON.stringify(name)}: "value"}`) as Record<string, string>, hostname: name, injectedFiles: files });
      const listing = (await readText(facts, '/latest/meta-data/public-keys/')).split(LINE_ENDS);
      assert.equal(listing.length, 2);
      assert.match(listing[0] ?? '', /^0=/);
      assert.equal(listing[1], '1=other');
      assert.equal(await readText(facts, '/latest/meta-data/public-keys/0/openssh-key'), SSH_KEY);
      const { public_keys: publicKeys, meta, files: told } = await readMetaData(facts);
      assert.deepEqual(Object.entries(publicKeys as object), [[name, SSH_KEY], ['other', 'ssh-rsa AAAA']]);
      assert.deepEqual(Object.entries(meta as object), [[name, 'value']]);
      assert.deepEqual(told, [{ path: name, content_path: '/content/0000' }]);
      assert.equal(await readText(facts, '/openstack/content/0000'), 'content');
      for (const path of pathsOf(configDriveTree(facts, NO_VENDOR_DATA))) assert.match(path, /^(ec2|openstack)\/[a-z0-9-]+\/[a-z0-9_.-]+$/);
    });
  }

  it('of ten thousand bytes of metadata come out whole, and so do many entries', async () => {
    const metadata = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`key-${index}`, 'é'.repeat(50)]));
    assert.deepEqual((await readMetaData(factsOf({ metadata })))['meta'], metadata);
  });

  it('of two lines in a key are given as they are, and an empty key is none', async () => {
    const two = `${SSH_KEY}\nssh-rsa AAAA second`;
    const facts = factsOf({ keyPairs: [keyPair('two', two), keyPair('gone', null), keyPair('empty', '')] });
    assert.equal(await readText(facts, '/latest/meta-data/public-keys/0/openssh-key'), two);
    assert.equal(await readText(facts, '/latest/meta-data/public-keys'), '0=two');
    assert.deepEqual((await readMetaData(facts))['public_keys'], { two });
  });

  it('of two keys with one name lose neither', async () => {
    const keyPairs = [keyPair('same', SSH_KEY, 'ssh', 'alice'), keyPair('same', 'ssh-rsa AAAA of bob', 'ssh', 'bob'), keyPair('same', CERTIFICATE, 'x509', 'alice')];
    const { public_keys: publicKeys, keys } = await readMetaData(factsOf({ keyPairs }));
    assert.deepEqual(publicKeys, { same: `${SSH_KEY}\nssh-rsa AAAA of bob\n${CERTIFICATE}` });
    assert.deepEqual((keys as { type: string }[]).map(({ type }) => type), ['ssh', 'ssh', 'x509']);
    assert.equal(await readText(factsOf({ keyPairs }), '/latest/meta-data/public-keys/'), '0=same\n1=same\n2=same');
  });

  it('of more than ten keys are listed in their order', async () => {
    const keyPairs = Array.from({ length: 12 }, (_, index) => keyPair(`k${index}`, `ssh-rsa ${index}`));
    assert.deepEqual((await readText(factsOf({ keyPairs }), '/latest/meta-data/public-keys/')).split('\n'), keyPairs.map(({ name }, index) => `${index}=${name}`));
    assert.equal(await readText(factsOf({ keyPairs }), '/latest/meta-data/public-keys/11/openssh-key'), 'ssh-rsa 11');
  });

  for (const [what, bytes] of [['64 KiB', Buffer.alloc(65_536, 'x')], ['every byte', Buffer.from(Array.from({ length: 65_535 }, (_, index) => index % 256))], ['no byte', Buffer.alloc(0)]] as const) {
    it(`of user data come out byte for byte: ${what}`, async () => {
      const facts = factsOf({ userData: bytes.toString('base64') });
      for (const path of ['/openstack/latest/user_data', '/openstack/2012-08-10/user_data', '/latest/user-data', '/1.0/user-data']) {
        const { content } = await read(facts, path);
        assert.ok(Buffer.isBuffer(content) && content.equals(bytes), path);
      }
    });
  }

  it('of an image and a network that are none of ours break nothing', async () => {
    for (const imageRef of ['', 'not a uuid\n', null]) assert.match(await readText(factsOf({ imageRef }), '/latest/meta-data/ami-id'), /^ami-[0-9a-f]{8}$/);
    const links = [{ tags: 'no list', vlan: 'x', bus: 'pci' }, { ethernet_mac_address: 7, tags: [] }, {}];
    const network = { links, networks: [{ ip_address: 'not an address' }, { ip_address: '10.0.0.9\n' }], services: [] };
    assert.deepEqual((await readMetaData(factsOf({ network })))['devices'], []);
    assert.equal(await readText(factsOf({ network }), '/latest/meta-data/local-ipv4'), '');
  });
});
