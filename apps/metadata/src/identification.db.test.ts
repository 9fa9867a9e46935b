import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { sign } from './signature.ts';
import { NEXT_SECRET, PROJECT, SECRET, proof, startTestCell } from './test-metadata.ts';
import type { Headers, Heard, TestCell, TestMetadata } from './test-metadata.ts';

const PATH = '/openstack/latest/meta_data.json';
const uuidOf = ({ body }: Heard): string => (JSON.parse(body) as { readonly uuid: string }).uuid;
const forwarded = (addresses: string): { headers: Headers } => ({ headers: { 'X-Forwarded-For': addresses } });

describe('who asks for metadata', function () {
  this.timeout(60_000);
  let cell: TestCell;
  let one: string;
  let other: string;
  before(async () => {
    cell = await startTestCell();
    one = await cell.addInstance({ fixed: ['127.0.0.1', '10.0.0.5', 'fd00::5'] });
    other = await cell.addInstance({ fixed: ['10.0.0.6'] });
    await cell.addInstance({ fixed: ['10.0.0.7'] });
    await cell.addInstance({ fixed: ['10.0.0.7'] });
  });
  after(() => cell.stop());

  describe('by signed headers', () => {
    let service: TestMetadata;
    before(async () => {
      service = await cell.start();
    });

    const refusals: readonly (readonly [what: string, change: (good: Record<string, string | string[]>) => object, status: number, words: RegExp])[] = [
      ['no instance', ({ 'X-Instance-ID': _, ...rest }) => rest, 400, /X-Instance-ID header is missing/],
      ['no signature', ({ 'X-Instance-ID-Signature': _, ...rest }) => rest, 400, /X-Instance-ID-Signature header is missing/],
      ['no project', ({ 'X-Tenant-ID': _, ...rest }) => rest, 400, /X-Tenant-ID header is missing/],
      ['two instances', (good) => ({ ...good, 'X-Instance-ID': [one, other] }), 400, /Multiple X-Instance-ID/],
      ['the same instance twice', (good) => ({ ...good, 'X-Instance-ID': [one, one] }), 400, /Multiple X-Instance-ID/],
      ['two signatures', (good) => ({ ...good, 'X-Instance-ID-Signature': ['0'.repeat(64), sign(SECRET, one)] }), 400, /Multiple X-Instance-ID-Signature/],
      ['two projects', (good) => ({ ...good, 'X-Tenant-ID': ['p-other', PROJECT] }), 400, /Multiple X-Tenant-ID/],
      ['an empty instance', (good) => ({ ...good, 'X-Instance-ID': '' }), 403, /Invalid proxy request signature/],
      ['an empty signature', (good) => ({ ...good, 'X-Instance-ID-Signature': '' }), 403, /Invalid proxy request signature/],
      ['an empty project', (good) => ({ ...good, 'X-Tenant-ID': '' }), 404, /could not be found/],
      ['an instance that is not ASCII', (good) => ({ ...good, 'X-Instance-ID': `${one}ü` }), 403, /Invalid proxy request signature/],
      ['a signature that is not ASCII', (good) => ({ ...good, 'X-Instance-ID-Signature': 'ü'.repeat(64) }), 403, /Invalid proxy request signature/],
      ['a project that is not ASCII', (good) => ({ ...good, 'X-Tenant-ID': 'ü' }), 404, /could not be found/],
      ['an instance of 256 characters', (good) => ({ ...good, 'X-Instance-ID': 'a'.repeat(256) }), 400, /longer than 255/],
      ['a project of 10,000 characters', (good) => ({ ...good, 'X-Tenant-ID': 'a'.repeat(10_000) }), 400, /longer than 255/],
      ['a signature of 10,000 characters', (good) => ({ ...good, 'X-Instance-ID-Signature': 'a'.repeat(10_000) }), 403, /Invalid proxy request signature/],
      ['a head beyond 16 KiB', (good) => ({ ...good, 'X-Tenant-ID': 'a'.repeat(20_000) }), 431, /./],
      ["another's signature", (good) => ({ ...good, 'X-Instance-ID': other }), 403, /Invalid proxy request signature/],
      ["another project's instance", (good) => ({ ...good, 'X-Tenant-ID': 'p-other' }), 404, /could not be found/],
      ['an unknown instance', () => proof(randomUUID()), 404, /could not be found/],
      ['an id that is none', () => proof('no-uuid'), 404, /could not be found/],
    ];
    for (const [what, change, status, words] of refusals) {
      it(`is refused with ${what}: ${status}`, async () => {
        const answer = await service.ask(PATH, { headers: change({ ...proof(one) }) as Headers });
        assert.equal(answer.status, status);
        assert.match(answer.body, words);
      });
    }

    it('leaves no signature that would have been right in the log, at any level, nor a secret', () => {
      assert.match(service.logged(), /who asks for metadata could not be told/);
      for (const secret of [SECRET, NEXT_SECRET]) {
        for (const said of [secret, ...[one, other, '', 'no-uuid'].map((id) => sign(secret, id))]) assert.ok(!service.logged().includes(said));
      }
    });

    it('is believed with either secret, while secrets are changed', async () => {
      assert.equal(uuidOf(await service.ask(PATH, { headers: proof(one) })), one);
      assert.equal(uuidOf(await service.ask(PATH, { headers: proof(one, { 'X-Instance-ID-Signature': sign(NEXT_SECRET, one) }) })), one);
    });

    it('is not told by an address while no network is trusted', async () => {
      assert.equal((await service.ask(PATH)).status, 400);
      assert.equal((await service.ask(PATH, forwarded('10.0.0.5'))).status, 400);
    });
  });

  describe('by address', () => {
    it('is the peer itself, whatever it says of others', async () => {
      const service = await cell.start({ metadataTrustedNetworks: ['127.0.0.0/8', '10.0.0.0/24'] });
      assert.equal(uuidOf(await service.ask(PATH)), one);
      assert.equal(uuidOf(await service.ask(PATH, forwarded('10.0.0.6'))), one);
    });

    it('is whom a trusted proxy says, the last that is no proxy: each of its addresses, and of no other network', async () => {
      const service = await cell.start({ metadataSecrets: [], metadataTrustedNetworks: ['10.0.0.0/24', 'fd00::/64'], metadataTrustedProxies: ['127.0.0.1', '10.9.0.0/16'] });
      assert.equal(uuidOf(await service.ask(PATH, forwarded('10.0.0.5'))), one);
      assert.equal(uuidOf(await service.ask(PATH, forwarded('fd00:0::5, 10.9.0.1'))), one);
      assert.equal(uuidOf(await service.ask(PATH, forwarded('10.0.0.6, ::ffff:10.0.0.5'))), one);
      assert.equal(uuidOf(await service.ask(PATH, forwarded('10.0.0.6'))), other);
      for (const [addresses, status] of [['10.0.0.8', 404], ['10.0.0.7', 409], ['192.0.2.1', 403], ['10.0.0.5, nonsense', 400], ['', 400], ['10.9.0.1', 400]] as const) {
        assert.equal((await service.ask(PATH, forwarded(addresses))).status, status, addresses);
      }
      assert.equal((await service.ask(PATH)).status, 400);
      assert.match((await service.ask(PATH, forwarded('10.0.0.7'))).body, /several instances/);
    });

    it('is never made up for by an address where headers are wrong, and headers win where they are right', async () => {
      const service = await cell.start({ metadataTrustedNetworks: ['127.0.0.1'] });
      assert.equal(uuidOf(await service.ask(PATH, { headers: proof(other) })), other);
      assert.equal((await service.ask(PATH, { headers: proof(other, { 'X-Instance-ID-Signature': '0'.repeat(64) }) })).status, 403);
      assert.equal((await service.ask(PATH, { headers: { 'X-Instance-ID': other } })).status, 400);
      const unsigned = await cell.start({ metadataSecrets: [], metadataTrustedNetworks: ['127.0.0.1'] });
      assert.equal((await unsigned.ask(PATH, { headers: proof(other) })).status, 403);
      assert.equal((await unsigned.ask(PATH, { headers: proof(other, { 'X-Instance-ID-Signature': sign('', other) }) })).status, 403);
    });

    it('is nobody any more when the instance is deleted', async () => {
      const gone = await cell.addInstance({ fixed: ['10.0.0.9'] });
      const service = await cell.start({ metadataTrustedNetworks: ['10.0.0.0/24'], metadataTrustedProxies: ['127.0.0.1'] });
      assert.equal(uuidOf(await service.ask(PATH, forwarded('10.0.0.9'))), gone);
      await cell.cellDb.instances.softDelete(gone, new Date());
      assert.equal((await service.ask(PATH, forwarded('10.0.0.9'))).status, 404);
    });
  });

  it('needs a secret or a network that is trusted, and networks that are some', async () => {
    await assert.rejects(cell.start({ metadataSecrets: [] }), /GATEHOUSE_METADATA_SECRETS is not set/);
    await assert.rejects(cell.start({ metadataSecrets: ['good', ''] }), /empty secret/);
    await assert.rejects(cell.start({ metadataTrustedNetworks: ['10.0.0.0/33'] }), /GATEHOUSE_METADATA_TRUSTED_NETWORKS names "10.0.0.0\/33"/);
    await assert.rejects(cell.start({ metadataTrustedProxies: ['proxy'] }), /GATEHOUSE_METADATA_TRUSTED_PROXIES names "proxy"/);
  });

  it('is asked of nobody for the names of EC2\'s versions and for the service\'s health', async () => {
    const service = await cell.start();
    assert.match((await service.ask('/')).body, /^1\.0\n/);
    assert.equal((await service.ask('/healthcheck')).body, 'OK');
    for (const path of ['/', '/healthcheck']) assert.equal((await service.ask(path, { method: 'POST' })).status, 405);
  });

  describe('too often', () => {
    it('is told to an instance with 429 and the seconds to wait, and to no other', async () => {
      const clock = new TestClock(new Date());
      const service = await cell.start({ metadataRate: 1, metadataBurst: 30 }, clock);
      const statuses = [];
      for (let i = 0; i < 32; i += 1) statuses.push((await service.ask('/latest/meta-data/instance-id', { headers: proof(one) })).status);
      assert.deepEqual(statuses, [...Array.from({ length: 30 }, () => 200), 429, 429]);
      const refused = await service.ask(PATH, { headers: proof(one) });
      assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '1']);
      assert.equal((await service.ask(PATH, { headers: proof(other) })).status, 200);
      await clock.advance(1_000);
      assert.equal((await service.ask(PATH, { headers: proof(one) })).status, 200);
    });

    it('does not come about by a guest\'s boot, as the service is set unless told', async () => {
      const service = await cell.start();
      const boots = Array.from({ length: 4 * 28 }, () => service.ask('/latest/meta-data/instance-id', { headers: proof(one) }));
      assert.ok((await Promise.all(boots)).every(({ status }) => status === 200));
    });

    it('holds for refused ones too: who guesses is looked at no more for a while, and fills no log', async () => {
      const clock = new TestClock(new Date());
      const service = await cell.start({}, clock);
      const guess = (): Promise<Heard> => service.ask(PATH, { headers: proof(one, { 'X-Instance-ID-Signature': '1'.repeat(64) }) });
      const statuses = [];
      for (let i = 0; i < 110; i += 1) statuses.push((await guess()).status);
      assert.equal(statuses.filter((status) => status === 403).length, 100);
      assert.equal(statuses.at(-1), 429);
      // Not even what is right, or each guess would say whether it is.
      assert.equal((await service.ask(PATH, { headers: proof(one) })).status, 429);
      await clock.advance(10_000);
      assert.equal((await service.ask(PATH, { headers: proof(one) })).status, 200);
      const lines = service.logged().split('\n').filter((line) => line.includes('who asks for metadata could not be told'));
      assert.equal(lines.length, 6);
      assert.match(lines.at(-1) ?? '', /"left_out":95/);
    });

    it('is told to an address before it is known whose it is', async () => {
      const service = await cell.start({ metadataSecrets: [], metadataTrustedNetworks: ['127.0.0.1'], metadataRate: 1, metadataBurst: 3 }, new TestClock(new Date()));
      const statuses = [];
      for (let i = 0; i < 5; i += 1) statuses.push((await service.ask('/nope')).status);
      assert.deepEqual(statuses, [404, 404, 404, 429, 429]);
    });

    it('is nothing that a proxy with right signatures can be brought to, by headers that are missing or doubled', async () => {
      const service = await cell.start({}, new TestClock(new Date()));
      for (let i = 0; i < 120; i += 1) await service.ask(PATH, { headers: proof(one, { 'X-Instance-ID': [one, one] }) });
      assert.equal((await service.ask(PATH, { headers: proof(one) })).status, 200);
    });
  });
});
