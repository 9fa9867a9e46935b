import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceError } from '@gatehouse/errors/service-error';
import { factsOf } from '@gatehouse/instance-metadata/testing';
import { createLogger } from '@gatehouse/runtime/logger';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { runFor } from '../../../test/servers/running-time.ts';
import { makeCertificate } from '../../../test/servers/certificates.ts';
import { sayJson, startVendor } from './test-vendor.ts';
import type { Answering, Vendor } from './test-vendor.ts';
import type { VendorDataSettings, VendorDataTarget } from './vendor-data-config.ts';
import { SetVendorData } from './vendor-data.ts';

const SECRET_OF_GUEST = 'the-guest-keeps-this';
const FACTS = factsOf({ userData: Buffer.from(SECRET_OF_GUEST).toString('base64'), metadata: { role: SECRET_OF_GUEST } });

describe('vendor data', () => {
  let folder: string;
  let clock: TestClock;
  let logged: string[];
  const closing: { close(): Promise<void> }[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'vendor-data-'));
    clock = new TestClock();
    logged = [];
  });
  afterEach(async () => {
    for (const each of closing.splice(0).toReversed()) await each.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function open(wanted: Partial<VendorDataSettings> = {}): SetVendorData {
    const settings: VendorDataSettings = {
      vendorDataFile: null, vendorDataTargets: [], vendorDataCa: null,
      vendorDataConnectTimeout: 5, vendorDataReadTimeout: 5, vendorDataTimeout: 10, vendorDataFailureFatal: false, ...wanted,
    };
    const destination = { write: (line: string) => logged.push(line) } as unknown as NodeJS.WritableStream;
    const opened = new SetVendorData(settings, clock, createLogger({ service: 'test', level: 'debug', destination }));
    closing.push(opened);
    return opened;
  }

  async function vendor(answer: Answering, pem?: { readonly cert: Buffer; readonly key: Buffer }): Promise<Vendor> {
    const started = await startVendor(answer, pem);
    closing.push(started);
    return started;
  }

  async function asked({ questions }: Vendor): Promise<void> {
    while (questions.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  const target = (name: string, { url }: { readonly url: string }): VendorDataTarget => ({ name, url });
  const warnings = (): readonly Record<string, unknown>[] => logged.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ level }) => level === 'warn');

  describe('of a file', () => {
    for (const [what, content, problem] of [
      ['is not there', null, /cannot be read \(ENOENT\)/],
      ['holds no JSON', '{"a": secret', /holds no JSON/],
      ['holds a number', '7', /neither an object nor a list nor a text/],
      ['holds null', 'null', /neither an object nor a list nor a text/],
      ['is beyond a mebibyte', JSON.stringify('x'.repeat(1_048_576)), /longer than 1048576 bytes/],
    ] as const) {
      it(`ends the start when the file ${what}, and quotes none of it`, () => {
        const path = join(folder, 'vendor.json');
        if (content !== null) writeFileSync(path, content);
        assert.throws(() => open({ vendorDataFile: path }), (error: ServiceError) => {
          assert.match(error.message, problem);
          assert.match(error.message, /^GATEHOUSE_VENDOR_DATA_FILE names /);
          assert.ok(!error.message.includes('secret'));
          return true;
        });
      });
    }

    it('is an empty object where none is set', () => assert.deepEqual(open().fixed(), {}));

    it('is read again when it changes, and when that is asked for; a broken one is told and changes nothing', async () => {
      const path = join(folder, 'vendor.json');
      writeFileSync(path, '{"ldap": "10.0.0.1"}');
      const data = open({ vendorDataFile: path });
      assert.deepEqual(data.fixed(), { ldap: '10.0.0.1' });
      writeFileSync(path, '{"ldap": "10.0.0.22"}');
      await data.reload();
      assert.deepEqual(data.fixed(), { ldap: '10.0.0.22' });
      writeFileSync(path, '{"ldap": ');
      await data.reload();
      assert.deepEqual(data.fixed(), { ldap: '10.0.0.22' });
      assert.equal(logged.filter((line) => line.includes('what was read before stays')).length, 1);
      writeFileSync(path, '["a list"]');
      const seen = (): boolean => Array.isArray(data.fixed());
      for (let tries = 0; !seen() && tries < 2_000; tries += 1) {
        await clock.advance(6_000);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      assert.deepEqual(data.fixed(), ['a list']);
    });
  });

  describe('of a target', () => {
    const failing: readonly (readonly [what: string, answer: Answering, reason: RegExp])[] = [
      ['answers 500', sayJson({ secret: 1 }, {}, 500), /it answered 500/],
      ['answers 404', sayJson({}, {}, 404), /it answered 404/],
      ['sends elsewhere', (response) => void response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(), /it answered 307/],
      ['answers what is not JSON', (response) => void response.end('<p>secret'), /not JSON/],
      ['answers without an end', (response) => {
        const more = (): void => void (response.write('x'.repeat(65_536)) ? setImmediate(more) : response.once('drain', more));
        more();
      }, /longer than 262144 bytes/],
      ['hangs up', (response) => void response.destroy(), /ECONNRESET/],
    ];
    for (const [what, answer, reason] of failing) {
      it(`is an empty object, with one line in the log, when it ${what}`, async () => {
        const data = open({ vendorDataTargets: [target('web', await vendor(answer))] });
        assert.deepEqual(await data.named(FACTS), { web: {} });
        assert.deepEqual(await data.named(FACTS), { web: {} });
        const [warning, ...others] = warnings();
        assert.equal(others.length, 0);
        assert.deepEqual([warning?.['target'], warning?.['instance_uuid'] ?? warning?.['instanceUuid']], ['web', FACTS.uuid]);
        assert.match(String(warning?.['reason']), reason);
      });
    }

    it('is an empty object when nobody listens, or its certificate is nobody\'s', async () => {
      const { certificate, key } = makeCertificate(folder, 'vendor');
      const secure = await vendor(sayJson({ color: 'blue' }), { cert: readFileSync(certificate), key: readFileSync(key) });
      const gone = await vendor(sayJson({}));
      await gone.close();
      const data = open({ vendorDataTargets: [target('secure', secure), target('gone', gone)] });
      assert.deepEqual(await data.named(FACTS), { secure: {}, gone: {} });
      assert.deepEqual(warnings().map(({ target: name, reason }) => `${String(name)} ${String(reason)}`).toSorted(), ['gone ECONNREFUSED', 'secure DEPTH_ZERO_SELF_SIGNED_CERT']);
      assert.equal(secure.questions.length, 0);
      const trusting = open({ vendorDataTargets: [target('secure', secure)], vendorDataCa: certificate });
      assert.deepEqual(await trusting.named(FACTS), { secure: { color: 'blue' } });
      assert.throws(() => open({ vendorDataCa: key }), /GATEHOUSE_VENDOR_DATA_CA names .* no certificate can be read/);
    });

    it('is waited for no longer than the limits: to connect, for silence, in all', async () => {
      const mute = createServer((socket) => void socket.on('error', () => {}).resume());
      await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
      closing.push({ close: () => new Promise((resolve) => mute.close(() => resolve())) });
      const unconnected = open({ vendorDataTargets: [{ name: 'mute', url: `https://127.0.0.1:${(mute.address() as AddressInfo).port}/` }] }).named(FACTS);
      await runFor(50);
      await clock.advance(5_000);
      assert.deepEqual(await unconnected, { mute: {} });
      assert.match(String(warnings()[0]?.['reason']), /no connection within 5 s/);

      const silent = await vendor(() => {});
      assert.deepEqual(await open({ vendorDataTargets: [target('silent', silent)], vendorDataReadTimeout: 1 }).named(FACTS), { silent: {} });
      assert.match(String(warnings()[1]?.['reason']), /nothing to read for 1 s/);

      const dripping = await vendor((response) => {
        const drip = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(drip));
      });
      const slow = open({ vendorDataTargets: [target('slow', dripping)] }).named(FACTS);
      await asked(dripping);
      await clock.advance(10_000);
      assert.deepEqual(await slow, { slow: {} });
      assert.match(String(warnings()[2]?.['reason']), /no whole answer within 10 s/);
    });

    it('makes the request fail where that is wanted, and a target without anything to say is no failure', async () => {
      const failingOne = target('web', await vendor(sayJson({}, {}, 503)));
      const empty = target('empty', await vendor((response) => void response.writeHead(204).end()));
      await assert.rejects(open({ vendorDataTargets: [empty, failingOne], vendorDataFailureFatal: true }).named(FACTS), { code: 'UNAVAILABLE' });
      assert.deepEqual(await open({ vendorDataTargets: [empty], vendorDataFailureFatal: true }).named(FACTS), { empty: {} });
    });

    it('is asked as Nova asks, at the same time as the others', async () => {
      let waiting: (() => void)[] = [];
      const together: Answering = (response) => {
        waiting.push(() => void response.end('{"a": 1}'));
        // Neither is answered before both have come.
        if (waiting.length === 2) waiting = waiting.flatMap((answer) => answer() ?? []);
      };
      const vendors = [await vendor(together), await vendor(together)] as const;
      const data = open({ vendorDataTargets: [target('testing', vendors[0]), target('hamster', vendors[1])] });
      assert.deepEqual(await data.named(FACTS), { testing: { a: 1 }, hamster: { a: 1 } });
      const [question] = vendors[0].questions;
      assert.equal(question?.method, 'POST');
      assert.deepEqual([question?.headers['user-agent'], question?.headers['content-type'], question?.headers.accept], ['openstack-nova-vendordata', 'application/json', 'application/json']);
      assert.deepEqual(question?.body, {
        'project-id': 'test', 'instance-id': FACTS.uuid, 'image-id': FACTS.imageRef, 'user-data': FACTS.userData, hostname: 'test', metadata: FACTS.metadata, 'boot-roles': '',
      });
    });

    it('is asked once for all who wait, again when its answer is old or the instance another', async () => {
      let count = 0;
      const cases: readonly (readonly [cacheControl: string | null, freshMs: number])[] = [
        [null, 15_000], ['max-age=60', 60_000], ['private, max-age="60"', 60_000], ['max-age=999999999', 3_600_000], ['no-store', 0], ['no-cache, max-age=60', 0],
      ];
      for (const [cacheControl, freshMs] of cases) {
        const started = await vendor((response, question) => sayJson({ count: (count += 1) }, cacheControl === null ? {} : { 'cache-control': cacheControl })(response, question));
        const data = open({ vendorDataTargets: [target('web', started)] });
        const [one, two] = await Promise.all([data.named(FACTS), data.named(FACTS)]);
        assert.deepEqual(one, two);
        if (freshMs > 0) {
          await clock.advance(freshMs - 1);
          assert.deepEqual(await data.named(FACTS), one, String(cacheControl));
        }
        await clock.advance(1);
        assert.notDeepEqual(await data.named(FACTS), one, String(cacheControl));
        const before = started.questions.length;
        await data.named({ ...FACTS, revision: '1' });
        assert.equal(started.questions.length, before + 1);
      }
    });

    it('that hangs takes no place from the others, however many guests ask', async () => {
      const [hanging, quick] = [await vendor(() => {}), await vendor(sayJson({ a: 1 }))] as const;
      const data = open({ vendorDataTargets: [target('hanging', hanging), target('quick', quick)], vendorDataReadTimeout: 60 });
      const guests: Promise<Readonly<Record<string, unknown>>>[] = [];
      for (let round = 1; round <= 6; round += 1) {
        for (let each = 0; each < 50; each += 1) guests.push(data.named({ ...FACTS, uuid: `guest-${guests.length}` }));
        for (let tries = 0; quick.questions.length < guests.length && tries < 4_000; tries += 1) await new Promise((resolve) => setTimeout(resolve, 5));
        assert.equal(quick.questions.length, guests.length);
      }
      assert.equal(hanging.questions.length, 128, 'its half of all places');
      await clock.advance(10_000);
      for (const answers of await Promise.all(guests)) assert.deepEqual(answers, { hanging: {}, quick: { a: 1 } });
    });

    it('keeps its name from the one that comes later, which is told at the start', async () => {
      const [first, second] = [await vendor(sayJson({ a: 1 })), await vendor(sayJson({ c: 3 }))] as const;
      const data = open({ vendorDataTargets: [target('testing', first), target('testing', second), target('static', second), target('__proto__', first)] });
      assert.deepEqual(warnings().map(({ target: name }) => name), ['testing', 'static']);
      const named = await data.named(FACTS);
      assert.equal(JSON.stringify(named), '{"testing":{"a":1},"__proto__":{"a":1}}');
      assert.equal(second.questions.length, 0);
    });

    it('may need a password, which stands in no line of the log, as nothing of the guest does', async () => {
      const started = await vendor(sayJson({}, {}, 401));
      const data = open({ vendorDataTargets: [{ name: 'web', url: started.url.replace('//', '//gate:pa55word@') }] });
      await data.named(FACTS);
      assert.equal(started.questions[0]?.headers.authorization, `Basic ${Buffer.from('gate:pa55word').toString('base64')}`);
      for (const secret of ['pa55word', SECRET_OF_GUEST, String(FACTS.userData)]) assert.ok(!logged.join('').includes(secret));
    });
  });
});
