import assert from 'node:assert/strict';
import { brokerName, brokerUrls } from './amqp-url.ts';
import { refusal } from './conformance.ts';

describe('a broker\'s address', () => {
  it('is refused without being quoted', () => {
    for (const url of ['', 'amqp://', 'http://u:s3cret@h', 'amqp://u:s3cret@h1,,h2', 'amqp://u:s3cret@h:99999', `amqp://${'h,'.repeat(20)}h`, 'amqp://u:s3cret@/v']) {
      assert.throws(() => brokerUrls(url), (error: unknown) => refusal('INVALID_ARGUMENT', /expected amqp:/)(error) && !String(error).includes('s3cret'), url);
    }
  });

  it('may name several hosts, and gets a heartbeat', () => {
    assert.deepEqual(brokerUrls('amqp://u:p@h1:5672,h2:5673/v'), ['amqp://u:p@h1:5672/v?heartbeat=10', 'amqp://u:p@h2:5673/v?heartbeat=10']);
    assert.deepEqual(brokerUrls('amqps://h?heartbeat=30'), ['amqps://h?heartbeat=30']);
    assert.deepEqual(brokerUrls('rabbit://guest:guest@[::1]:5672/'), ['amqp://guest:guest@[::1]:5672/?heartbeat=10']);
  });

  it('is logged without its password', () => {
    assert.equal(brokerName('amqp://u:p@h1:5672/v'), 'h1:5672');
  });
});
