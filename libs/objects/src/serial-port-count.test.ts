import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { SERIAL_PORTS_MAX, serialPortCount } from './serial-port-count.ts';

describe('the number of serial ports', () => {
  for (const wanted of ['0', '5', '10', '01', '-1', '1e1', '1.5', '', ' 2', '2\n', '2; rm', 'two', '9'.repeat(400)]) {
    it(`is not ${JSON.stringify(wanted.slice(0, 8))}, and the words say which it may be`, () => {
      assert.throws(() => serialPortCount({ 'hw:serial_port_count': wanted }), (error) => {
        assert.ok(error instanceof ServiceError && error.code === 'INVALID_ARGUMENT');
        assert.match(error.message, /^metadata hw:serial_port_count is ".*"; it must be a number from 1 to 4$/);
        return error.message.length < 150;
      });
    });
  }

  it('is one unless the metadata ask for more', () => {
    assert.equal(serialPortCount({}), 1);
    assert.equal(serialPortCount({ 'hw:serial_port_count': String(SERIAL_PORTS_MAX) }), 4);
  });
});
