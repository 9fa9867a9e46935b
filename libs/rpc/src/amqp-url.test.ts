import assert from 'node:assert/strict';
import { brokerAddresses, brokerName } from './amqp-url.ts';
import { refusal } from './conformance.ts';

const hostsOf = (url: string): string[] => brokerAddresses(url).map(brokerName);

describe('a broker\'s address', () => {
  it('is refused without being quoted, and with what is wrong', () => {
    const refused: readonly (readonly [string, RegExp])[] = [
      ['', /no URL/],
      ['amqp://', /the host is no name/],
      ['http://u:s3cret@h', /scheme/],
      ['u:s3cret@h', /no URL/],
      ['amqp://u:s3cret@h1,,h2', /host 2 is no name/],
      ['amqp://u:s3cret@h:99999', /the port of the host/],
      ['amqp://u:s3cret@h:0', /the port of the host/],
      ['amqp://u:s3cret@h:56x', /the host is no name/],
      ['amqp://u:s3/cret@h', /the host is no name/],
      ['amqp://u:s3#cret@h', /%23/],
      ['amqp://u:s3%cret@h', /the password of the host.*%25/],
      ['amqp://h1,u%zz:s3cret@h2', /the user of host 2/],
      ['amqp://u:s3cret@h/%zz', /the virtual host/],
      ['amqp://u:s3cret@[::1', /the host is no name/],
      ['amqp://u:s3cret@h?heartbeat=often', /heartbeat/],
      [`amqp://${'h,'.repeat(20)}h`, /21 hosts/],
      ['amqp://u:s3cret@/v', /the host is no name/],
    ];
    for (const [url, words] of refused) {
      assert.throws(() => brokerAddresses(url), (error: unknown) => refusal('INVALID_ARGUMENT', words)(error) && !/s3.?cret|cret@/.test(String(error)), url);
      assert.throws(() => brokerAddresses(url), refusal('INVALID_ARGUMENT', /expected amqp:/));
    }
  });

  it('may name several hosts, IPv6 ones in brackets, each with its own user or that of the one before', () => {
    assert.deepEqual(hostsOf('amqp://u:p@h1:5672,h2:5673/v'), ['h1:5672', 'h2:5673']);
    assert.deepEqual(hostsOf('amqp://u:p@[2001:db8::1]:5673,[::1]/v'), ['[2001:db8::1]:5673', '[::1]:5672']);
    const users = brokerAddresses('rabbit://u1:p1@h1,h2,u3:p3@h3').map(({ username, password }) => `${username} ${password}`);
    assert.deepEqual(users, ['u1 p1', 'u1 p1', 'u3 p3']);
  });

  it('is what oslo writes: rabbit, percent-encoded names, a virtual host, TLS by option', () => {
    assert.deepEqual(brokerAddresses('rabbit://'), brokerAddresses('amqp://guest:guest@localhost:5672/'));
    const [address] = brokerAddresses('rabbit://st%40ck:p%3A%2F%C3%A9%25@h.example/%2Fnova?ssl=true&kombu_reconnect_delay=1');
    assert.deepEqual(address, { host: 'h.example', port: 5671, isTls: true, username: 'st@ck', password: 'p:/é%', vhost: '/nova', heartbeatSeconds: 10 });
    assert.equal(brokerAddresses('rabbit://u:p@ss@h/v')[0]?.password, 'p@ss');
    assert.equal(brokerAddresses('amqp://h//')[0]?.vhost, '/');
    assert.equal(brokerAddresses('amqp://h/nova')[0]?.vhost, 'nova');
  });

  it('has a heartbeat, its own or that of the URL', () => {
    const seconds = ['amqp://h', 'amqps://h?heartbeat=30', 'rabbit://h/?heartbeat_timeout_threshold=60', 'amqp://h?heartbeat=0'].map((url) => brokerAddresses(url)[0]?.heartbeatSeconds);
    assert.deepEqual(seconds, [10, 30, 60, 0]);
  });
});
