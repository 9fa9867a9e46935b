import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { cpuMsOf } from '../../../test/servers/running-time.ts';
import { readAddress, TrustedProxies, type Arrival } from './trusted-proxies.ts';

const BALANCERS = new TrustedProxies(['10.0.0.0/8', '192.0.2.7', '2001:db8:ba::/48', '::1']);

function arrive(remoteAddress: string | undefined, headers: IncomingHttpHeaders, encrypted = false): Arrival {
  return BALANCERS.arrivalOf({ headers: { host: 'console.example', ...headers }, socket: { remoteAddress, encrypted } });
}

describe('where a request comes from', () => {
  const table: readonly (readonly [string, string | undefined, IncomingHttpHeaders, string])[] = [
    ['is the peer, whatever headers say, when it is no proxy of ours', '203.0.113.9', { 'x-forwarded-for': '198.51.100.1', forwarded: 'for=198.51.100.2' }, '203.0.113.9'],
    ['is the peer, a neighbour of a proxy of ours', '192.0.2.8', { 'x-forwarded-for': '198.51.100.1' }, '192.0.2.8'],
    ['is the proxy that says nothing', '10.0.0.1', {}, '10.0.0.1'],
    ['is what a proxy of ours says', '10.0.0.1', { 'x-forwarded-for': '198.51.100.1' }, '198.51.100.1'],
    ['is what a proxy says that is connected by IPv6', '2001:db8:ba::5', { 'x-forwarded-for': '2001:DB8:0::1' }, '2001:db8::1'],
    ['is what a proxy says whose IPv4 address came as IPv6', '::ffff:10.0.0.1', { 'x-forwarded-for': '198.51.100.1' }, '198.51.100.1'],
    ['is the rightmost address: what stands left of it the client wrote', '10.0.0.1', { 'x-forwarded-for': '10.9.9.9, 1.1.1.1, 198.51.100.1' }, '198.51.100.1'],
    ['is the rightmost address that is no proxy of ours', '10.0.0.1', { 'x-forwarded-for': '1.1.1.1, 198.51.100.1, 10.0.0.3,192.0.2.7' }, '198.51.100.1'],
    ['is the leftmost when all are proxies of ours', '10.0.0.1', { 'x-forwarded-for': '10.0.0.9, 10.0.0.3' }, '10.0.0.9'],
    ['is the last address before an entry that is none', '10.0.0.1', { 'x-forwarded-for': '198.51.100.1, unknown, 10.0.0.3' }, '10.0.0.3'],
    ['is the proxy when its entry is no address', '10.0.0.1', { 'x-forwarded-for': '<script>' }, '10.0.0.1'],
    ['has no port', '10.0.0.1', { 'x-forwarded-for': '198.51.100.1:4711' }, '198.51.100.1'],
    ['has no port and no brackets', '10.0.0.1', { 'x-forwarded-for': '[2001:db8::1]:4711' }, '2001:db8::1'],
    ['is what Forwarded says', '10.0.0.1', { forwarded: 'for=198.51.100.1;proto=https' }, '198.51.100.1'],
    ['is what Forwarded says in quotes', '10.0.0.1', { forwarded: 'For="[2001:db8::1]:47"; by=x , for=10.0.0.4' }, '2001:db8::1'],
    ['is not hidden behind a comma in quotes', '10.0.0.1', { forwarded: 'host="a,for=1.1.1.1";for=198.51.100.1' }, '198.51.100.1'],
    ['is the proxy when Forwarded hides the client', '10.0.0.1', { forwarded: 'for=_hidden' }, '10.0.0.1'],
    ['is the proxy when Forwarded is garbage', '10.0.0.1', { forwarded: ';;=",,' }, '10.0.0.1'],
    ['is the proxy when a client wrote garbage before the proxy\'s word', '10.0.0.1', { forwarded: 'for=1.1.1.1;@, for=198.51.100.1' }, '10.0.0.1'],
    ['is what X-Forwarded-For says when both are there', '10.0.0.1', { 'x-forwarded-for': '198.51.100.1', forwarded: 'for=1.1.1.1' }, '198.51.100.1'],
    ['is not what Forwarded says beside any X-Forwarded header', '10.0.0.1', { 'x-forwarded-proto': 'https', forwarded: 'for=1.1.1.1' }, '10.0.0.1'],
    ['is unknown when the connection is gone already', undefined, { 'x-forwarded-for': '198.51.100.1' }, 'unknown'],
  ];
  for (const [what, peer, headers, address] of table) {
    it(what, () => assert.equal(arrive(peer, headers).clientAddress, address));
  }
});

describe('what the proxy was reached as', () => {
  const table: readonly (readonly [string, Arrival, string | undefined, string | null])[] = [
    ['is the Host for a plain connection', arrive('203.0.113.9', {}), 'console.example', null],
    ['is not what a stranger says', arrive('203.0.113.9', { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }), 'console.example', null],
    ['is what a proxy of ours says', arrive('10.0.0.1', { 'x-forwarded-host': 'public.example:8443', 'x-forwarded-proto': 'https' }), 'public.example:8443', 'https'],
    ['is what the client asked of the first proxy', arrive('10.0.0.1', { 'x-forwarded-host': 'public.example, inner', 'x-forwarded-proto': 'HTTPS, http' }), 'public.example', 'https'],
    ['is what a proxy of ours says though it comes to us by TLS', arrive('10.0.0.1', { 'x-forwarded-proto': 'http' }, true), 'console.example', 'http'],
    ['is read from the words for WebSockets', arrive('10.0.0.1', { 'x-forwarded-proto': 'wss' }), 'console.example', 'https'],
    ['is not known by a word that is no scheme', arrive('10.0.0.1', { 'x-forwarded-proto': 'gopher' }), 'console.example', null],
    ['is what Forwarded says of the client', arrive('10.0.0.1', { forwarded: 'for=198.51.100.1;proto=https;host=public.example, for=10.0.0.4;proto=http;host=inner' }), 'public.example', 'https'],
    ['is nothing without a Host', arrive('203.0.113.9', { host: undefined }), undefined, null],
  ];
  for (const [what, arrival, host, scheme] of table) {
    it(what, () => assert.deepEqual([arrival.host, arrival.saidScheme], [host, scheme]));
  }
});

describe('TLS', () => {
  it('is what ends here, whatever anybody says', () => {
    assert.equal(arrive('203.0.113.9', { 'x-forwarded-proto': 'https' }).isTls, false);
    assert.equal(arrive('10.0.0.1', { 'x-forwarded-proto': 'https' }).isTls, false);
    assert.equal(arrive('203.0.113.9', {}, true).isTls, true);
  });
});

describe('the proxies that are trusted', () => {
  it('are none unless told', () => {
    assert.equal(new TrustedProxies([]).trusts('127.0.0.1'), false);
  });

  it('are refused by name when an entry is neither address nor network', () => {
    for (const entry of ['10.0.0.0/33', '10.0.0/8', '2001:db8::/129', 'balancer.example', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1', '::/x']) {
      assert.throws(() => new TrustedProxies([entry]), /GATEHOUSE_TRUSTED_PROXIES names "/, entry);
    }
  });

  it('are read in a time that grows with the length of what they say alone', () => {
    const tookMs = cpuMsOf(() => {
      for (const header of ['a="'.repeat(5_000), `${'a=b;'.repeat(4_000)}"`, ' '.repeat(16_000), `for=${' '.repeat(16_000)}"`, '\\'.repeat(16_000), `a="${'\\"'.repeat(8_000)}`]) {
        arrive('10.0.0.1', { forwarded: header });
        arrive('10.0.0.1', { 'x-forwarded-for': header });
      }
    });
    assert.ok(tookMs < 1_000, `${tookMs} ms`);
  });
});

describe('an address', () => {
  for (const [text, address] of [
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:C000:0201', '192.0.2.1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['2001:0db8:0:0:0:0:0:1', '2001:db8::1'],
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.256', null],
    ['2001:db8::1::2', null],
    ['[192.0.2.1', null],
    ['localhost', null],
    ['', null],
  ] as const) {
    it(`${JSON.stringify(text)} is ${address ?? 'none'}`, () => assert.equal(readAddress(text), address));
  }
});
