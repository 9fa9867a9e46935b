/** nova/tests/unit/test_metadata.py and functional/test_metadata.py, what they say of vendor data: over HTTP to vendors that answer as Nova's doubles do. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sayJson, startVendor } from '../../apps/metadata/src/test-vendor.ts';
import type { Answering, Vendor } from '../../apps/metadata/src/test-vendor.ts';
import { SetVendorData } from '../../apps/metadata/src/vendor-data.ts';
import { factsOf, readText } from '../../libs/instance-metadata/src/testing.ts';
import { createLogger } from '../../libs/runtime/src/logger.ts';
import { systemClock } from '../../libs/runtime/src/clock.ts';
import { makeCertificate } from '../servers/certificates.ts';

const OWN = { ldap: '10.0.0.1', ad: '10.0.0.2' };

describe("Nova's tests of vendor data", () => {
  let folder: string;
  let file: string;
  let logged: string[];
  const closing: { close(): Promise<void> }[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vendor-data-'));
    file = join(folder, 'test.json');
    writeFileSync(file, JSON.stringify(OWN));
    logged = [];
  });
  afterEach(async () => {
    for (const each of closing.splice(0).toReversed()) await each.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function vendor(answer: Answering, pem?: { readonly cert: Buffer; readonly key: Buffer }): Promise<Vendor> {
    const started = await startVendor(answer, pem);
    closing.push(started);
    return started;
  }

  function open(targets: Readonly<Record<string, { readonly url: string }>> | readonly (readonly [string, Vendor])[], isFatal = false): SetVendorData {
    const pairs = Array.isArray(targets) ? (targets as readonly (readonly [string, Vendor])[]) : Object.entries(targets);
    const destination = { write: (line: string) => logged.push(line) } as unknown as NodeJS.WritableStream;
    const data = new SetVendorData({
      vendorDataFile: file, vendorDataTargets: pairs.map(([name, { url }]) => ({ name, url })), vendorDataCa: null,
      vendorDataConnectTimeout: 5, vendorDataReadTimeout: 5, vendorDataTimeout: 10, vendorDataFailureFatal: isFatal,
    }, systemClock, createLogger({ service: 'test', destination }));
    closing.push(data);
    return data;
  }

  const get = async (vendorData: SetVendorData, name = 'vendor_data2.json', version = '2016-10-06'): Promise<Record<string, unknown>> =>
    JSON.parse(await readText(factsOf(), `/openstack/${version}/${name}`, { vendorData })) as Record<string, unknown>;

  it('test_vendor_data_presence: listed since their versions, and nobody is asked for a listing', async () => {
    const started = await vendor(sayJson({}));
    const vendorData = open({ web: started });
    const listing = (version: string): Promise<string> => readText(factsOf(), `/openstack/${version}`, { vendorData });
    assert.deepEqual([(await listing('2013-10-17')).includes('vendor_data.json'), (await listing('2013-04-04')).includes('vendor_data.json')], [true, false]);
    assert.deepEqual([(await listing('2016-10-06')).includes('vendor_data2.json'), (await listing('2016-06-30')).includes('vendor_data2.json')], [true, false]);
    await assert.rejects(get(vendorData, 'vendor_data.json', '2013-04-04'), { code: 'NOT_FOUND' });
    await assert.rejects(get(vendorData, 'vendor_data2.json', '2016-06-30'), { code: 'NOT_FOUND' });
    assert.equal(started.questions.length, 0);
  });

  for (const [name, status] of [['ok', 200], ['created', 201], ['accepted', 202]] as const) {
    it(`test_vendor_data_response_vendordata2_${name}: the file in both documents, and the answer of status ${status} under its name`, async () => {
      const vendorData = open({ web: await vendor(sayJson({ color: 'blue' }, {}, status)) });
      assert.deepEqual(await get(vendorData, 'vendor_data.json', '2013-10-17'), OWN);
      assert.deepEqual(await get(vendorData, 'vendor_data.json'), OWN);
      assert.deepEqual(await get(vendorData), { static: OWN, web: { color: 'blue' } });
    });
  }

  it('test_vendor_data_response_vendordata2_no_content: an empty object, and no failure', async () => {
    const vendorData = open({ web: await vendor((response) => void response.writeHead(204).end()) }, true);
    assert.deepEqual(await get(vendorData), { static: OWN, web: {} });
  });

  const failing: readonly (readonly [name: string, answer: Answering])[] = [
    ['type_error', (response) => void response.destroy()],
    ['value_error', (response) => void response.end('no JSON')],
    ['request_error', sayJson({}, {}, 400)],
  ];
  for (const [name, answer] of failing) {
    it(`test_vendor_data_response_vendordata2_${name}: an empty object, and a warning`, async () => {
      assert.deepEqual(await get(open({ web: await vendor(answer) })), { static: OWN, web: {} });
      assert.equal(logged.filter((line) => line.includes('a vendor data target gave nothing')).length, 1);
    });
  }

  async function untrusted(): Promise<Vendor> {
    const { certificate, key } = makeCertificate(folder, 'vendor');
    return vendor(sayJson({ color: 'blue' }), { cert: readFileSync(certificate), key: readFileSync(key) });
  }

  it('test_vendor_data_response_vendordata2_ssl_error: an empty object, and a warning', async () => {
    assert.deepEqual(await get(open({ web: await untrusted() })), { static: OWN, web: {} });
    assert.match(logged.join(''), /SELF_SIGNED_CERT/);
  });

  it('test_vendor_data_response_vendordata2_ssl_error_fatal: 503 where that is set, so that the guest asks again', async () => {
    await assert.rejects(get(open({ web: await untrusted() }, true)), { code: 'UNAVAILABLE' });
  });

  it('test_lookup_external_service: each answer under the name of its target', async () => {
    const started = await vendor(sayJson({ a: 1, b: 'foo' }));
    assert.deepEqual(await get(open({ testing: started, hamster: started })), { static: OWN, testing: { a: 1, b: 'foo' }, hamster: { a: 1, b: 'foo' } });
  });

  it('test_lookup_external_service_no_overwrite: of two with one name the first', async () => {
    const [first, second] = [await vendor(sayJson({ a: 1, b: 'foo' })), await vendor(sayJson({ c: 3 }))] as const;
    assert.deepEqual((await get(open([['testing', first], ['testing', second]])))['testing'], { a: 1, b: 'foo' });
  });

  it('test_lookup_external_service_passes_data: what the instance is', async () => {
    const echo = await vendor((response, { body }) => void response.end(JSON.stringify(body)));
    const { testing } = (await get(open({ testing: echo }))) as { testing: Record<string, unknown> };
    assert.deepEqual(Object.keys(testing).toSorted(), ['boot-roles', 'hostname', 'image-id', 'instance-id', 'metadata', 'project-id', 'user-data']);
    const facts = factsOf();
    assert.deepEqual([testing['instance-id'], testing['project-id'], testing['image-id'], testing['user-data']], [facts.uuid, facts.projectId, facts.imageRef, facts.userData]);
  });
});
