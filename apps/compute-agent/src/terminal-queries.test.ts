import assert from 'node:assert/strict';
import { withoutQueries } from './terminal-queries.ts';

describe('output that is shown again', () => {
  it('asks the terminal nothing', () => {
    for (const query of ['\x1b[6n', '\x1b[?6n', '\x1b[c', '\x1b[>0c', '\x1b[18t', '\x1b[?2026$p', '\x05', '\x1bZ', '\x1b]11;?\x07', '\x1b]4;1;?\x1b\\', '\x1bP$qm\x1b\\']) {
      const output = withoutQueries(Buffer.from(`ab${query}cd`));
      assert.equal(output.toString(), `ab${'\0'.repeat(query.length)}cd`, JSON.stringify(query));
    }
  });

  it('keeps everything else, byte for byte', () => {
    const rest = Buffer.concat([Buffer.from('\x1b[1;31mred\x1b[0m \x1b[2J\x1b[10;5H\x1b[?25l\x1b]0;a title?!\x07 ok\r\n é'), Buffer.from([0xff, 0x80, 0])]);
    assert.deepEqual(withoutQueries(rest), rest);
  });
});
