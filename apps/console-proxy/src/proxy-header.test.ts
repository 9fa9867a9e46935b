import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { HEADER_BYTES_MAX, readProxyHeader } from './proxy-header.ts';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const v1 = (line: string): Buffer => Buffer.from(`${line}\r\n`, 'latin1');
function v2(command: number, family: number, body: Buffer, length = body.length): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt8(command, 0);
  head.writeUInt8(family, 1);
  head.writeUInt16BE(length, 2);
  return Buffer.concat([SIGNATURE, head, body]);
}
const PORTS = Buffer.from([0x12, 0x34, 0x01, 0xbb]);
const IPV4 = Buffer.concat([Buffer.from([203, 0, 113, 7, 10, 0, 0, 1]), PORTS]);
const IPV6 = Buffer.concat([Buffer.from('20010db8000000000000000000000007', 'hex'), Buffer.alloc(16, 1), PORTS]);
const MAPPED = Buffer.concat([Buffer.from('00000000000000000000ffffcb007107', 'hex'), Buffer.alloc(16, 1), PORTS]);

const GOOD: readonly (readonly [what: string, header: Buffer, address: string | null])[] = [
  ['version 1, IPv4', v1('PROXY TCP4 203.0.113.7 10.0.0.1 56324 443'), '203.0.113.7'],
  ['version 1, IPv6', v1('PROXY TCP6 2001:DB8:0::7 2001:db8::1 0 65535'), '2001:db8::7'],
  ['version 1, IPv4 as IPv6', v1('PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2'), '203.0.113.7'],
  ['version 1, unknown', v1('PROXY UNKNOWN'), null],
  ['version 1, unknown with words behind', v1('PROXY UNKNOWN ffff::1 whatever 65536'), null],
  ['version 1, as long as it may be', v1(`PROXY UNKNOWN ${'f'.repeat(91)}`), null],
  ['version 2, IPv4', v2(0x21, 0x11, IPV4), '203.0.113.7'],
  ['version 2, IPv6', v2(0x21, 0x21, IPV6), '2001:db8::7'],
  ['version 2, IPv4 as IPv6', v2(0x21, 0x21, MAPPED), '203.0.113.7'],
  ['version 2 with TLVs', v2(0x21, 0x11, Buffer.concat([IPV4, Buffer.from([0x04, 0, 3, 0, 0, 0, 0x20, 0xff, 0xff])])), '203.0.113.7'],
  ['version 2 as long as it may be', v2(0x21, 0x11, Buffer.concat([IPV4, Buffer.alloc(4_096 - 12)])), '203.0.113.7'],
  ['version 2, of the balancer itself', v2(0x20, 0x00, Buffer.alloc(0)), null],
  ['version 2, of the balancer itself, with an address that does not count', v2(0x20, 0x11, IPV4), null],
  ['version 2, of no family', v2(0x21, 0x00, Buffer.alloc(0)), null],
  ['version 2, of a unix socket', v2(0x21, 0x31, Buffer.alloc(216)), null],
];

const WRONG: readonly (readonly [what: string, said: Buffer])[] = [
  ['a request', Buffer.from('GET / HTTP/1.1\r\n')],
  ['TLS', Buffer.from([22, 3, 1, 2, 0, 1])],
  ['other letters', v1('proxy TCP4 1.2.3.4 1.2.3.4 1 2')],
  ['no word of a family', v1('PROXY ')],
  ['an unknown word', v1('PROXY UDP4 1.2.3.4 1.2.3.4 1 2')],
  ['a word that only begins like UNKNOWN', v1('PROXY UNKNOWNS')],
  ['an address of the other family', v1('PROXY TCP4 ::1 1.2.3.4 1 2')],
  ['an address of the other family, the other way', v1('PROXY TCP6 1.2.3.4 ::1 1 2')],
  ['an address with leading zeros', v1('PROXY TCP4 01.2.3.4 1.2.3.4 1 2')],
  ['a name', v1('PROXY TCP4 localhost 1.2.3.4 1 2')],
  ['a zone', v1('PROXY TCP6 fe80::1%eth0 ::1 1 2')],
  ['a port that is none', v1('PROXY TCP4 1.2.3.4 1.2.3.4 1 65536')],
  ['a port with a zero before', v1('PROXY TCP4 1.2.3.4 1.2.3.4 01 2')],
  ['too few words', v1('PROXY TCP4 1.2.3.4 1.2.3.4 1')],
  ['too many', v1('PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3')],
  ['two spaces', v1('PROXY TCP4  1.2.3.4 1.2.3.4 1 2')],
  ['a line break of another kind', Buffer.from(`PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n${' '.repeat(80)}\r\n`)],
  ['a line without end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(93)}`)],
  ['a line that ends too late', v1(`PROXY UNKNOWN ${'x'.repeat(92)}`)],
  ['version 3', v2(0x31, 0x11, IPV4)],
  ['a command that is none', v2(0x22, 0x11, IPV4)],
  ['UDP', v2(0x21, 0x12, IPV4)],
  ['a family that is none', v2(0x21, 0x41, IPV4)],
  ['fewer bytes than its addresses have', v2(0x21, 0x11, IPV4.subarray(0, 11))],
  ['fewer bytes than an IPv6 address has', v2(0x21, 0x21, IPV4)],
  ['more bytes than it may', v2(0x20, 0x00, Buffer.alloc(0), 4_097)],
];

describe('a PROXY header', () => {
  for (const [what, said] of WRONG) {
    it(`is none when it is ${what}`, () => assert.deepEqual(readProxyHeader(said), { state: 'wrong' }));
  }

  for (const [what, header, address] of GOOD) {
    it(`names ${address ?? 'nobody'}: ${what}`, () => {
      const whole = Buffer.concat([header, Buffer.from('\r\nGET / HTTP/1.1\r\n\r\n')]);
      assert.deepEqual(readProxyHeader(whole), { state: 'read', address, length: header.length });
      for (let length = 0; length < header.length; length += 1) assert.deepEqual(readProxyHeader(header.subarray(0, length)), { state: 'more' }, `${length} bytes`);
    });
  }

  it('is never half believed, whatever bytes come', () => {
    for (let round = 0; round < 20_000; round += 1) {
      const [, good] = GOOD[randomInt(GOOD.length)]!;
      const said = Buffer.concat([good.subarray(0, randomInt(good.length + 1)), randomBytes(randomInt(40))]);
      if (said.length > 0) said[randomInt(said.length)]! ^= 1 << randomInt(8);
      const header = readProxyHeader(said);
      if (header.state === 'read') assert.ok(header.length <= said.length && header.length <= HEADER_BYTES_MAX);
      if (header.state === 'more') assert.ok(said.length < HEADER_BYTES_MAX);
    }
  });
});
