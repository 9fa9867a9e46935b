import assert from 'node:assert/strict';
import { withoutCredentials } from './home-cell.ts';

describe("the home cell's row", () => {
  it('names the broker and the database without user and password', () => {
    assert.equal(withoutCredentials('amqp://user:p%40ss@broker:5672/nova?heartbeat=30'), 'amqp://broker:5672/nova?heartbeat=30');
    assert.equal(withoutCredentials('rabbit://u:p@h1:5672,u:p@[::1]:5672/nova'), 'rabbit://h1:5672,[::1]:5672/nova');
    assert.equal(withoutCredentials('postgresql://user:pass@db:5432/cell'), 'postgresql://db:5432/cell');
  });

  it('leaves the embedded ones as they are', () => {
    assert.equal(withoutCredentials('memory:'), 'memory:');
    assert.equal(withoutCredentials('embedded:'), 'embedded:');
  });
});
