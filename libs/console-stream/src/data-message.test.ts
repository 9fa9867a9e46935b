import assert from 'node:assert/strict';
import protobuf from 'protobufjs';
import { consoleStreamDescriptor } from './generated/console-stream-descriptor.ts';
import { decodeData, encodeData } from './data-message.ts';

const schema = protobuf.Root.fromJSON(consoleStreamDescriptor).lookupType('gatehouse.console.v1.AttachRequest');
const OFFSETS = [0, 1, 127, 128, 16_383, 16_384, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 5, 2 ** 49 - 1];
const LENGTHS = [0, 1, 127, 128, 16_300, 65_536];

describe('the bytes of a Data message', () => {
  it('are left to the general decoder where they are anything else', () => {
    const good = encodeData({ offset: 300, ack: 7, payload: Buffer.from('ls\n') });
    for (let cut = 0; cut < good.length; cut++) assert.equal(decodeData(good.subarray(0, cut)), null, `${cut} bytes of it`);
    assert.equal(decodeData(Buffer.concat([good, Buffer.from([0])])), null);
    assert.equal(decodeData(Buffer.concat([good, good])), null);
    // Another order, a further field, a field that is not there, a number that is too large.
    for (const hex of ['120a100708ac021a036c730a', '120c08ac0210071a036c730a2001', '120808ac021a036c730a', `121108${'80'.repeat(8)}0110071a036c730a`]) {
      assert.equal(decodeData(Buffer.from(hex, 'hex')), null, hex);
    }
  });

  it('are those of the schema, at every length of a number', () => {
    for (const offset of [...OFFSETS, 2 ** 53 - 1]) {
      for (const length of LENGTHS) {
        const data = { offset, ack: Math.floor(offset / 2), payload: Buffer.alloc(length, 7) };
        assert.ok(encodeData(data).equals(schema.encode({ data }).finish()), `${offset}, ${length} bytes`);
      }
    }
  });

  it('are read as they were written', () => {
    for (const offset of OFFSETS) {
      for (const length of LENGTHS) {
        const data = { offset, ack: Math.floor(offset / 2), payload: Buffer.alloc(length, 7) };
        assert.deepEqual(decodeData(encodeData(data)), data);
      }
    }
  });
});
