import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import amqp from 'amqplib';
import { Redis as RedisClient } from 'ioredis';
import pg from 'pg';
import { launchChromium } from './chromium.ts';
import { startMemcached } from './memcached.ts';
import { startOwnPostgresql, startPostgresql } from './postgresql.ts';
import { startOwnRabbitmq, startRabbitmq } from './rabbitmq.ts';
import { startRedis } from './redis.ts';

describe('the servers that tests start', function () {
  this.timeout(120_000);

  it('give each suite its own PostgreSQL database', async () => {
    const server = await startPostgresql();
    try {
      const [first, second] = [await server.createDatabase(), await server.createDatabase()];
      await withDatabase(first, (client) => client.query('CREATE TABLE t (n int)'));
      await assert.rejects(withDatabase(second, (client) => client.query('SELECT * FROM t')), /does not exist/);
    } finally {
      await server.stop();
    }
  });

  it('bring an own PostgreSQL back with its data', async () => {
    const server = await startOwnPostgresql();
    try {
      const url = await server.createDatabase();
      await withDatabase(url, (client) => client.query('CREATE TABLE t (n int)'));
      await server.restart();
      await withDatabase(url, (client) => client.query('SELECT * FROM t'));
    } finally {
      await server.stop();
    }
  });

  it('give each suite its own virtual host of RabbitMQ', async () => {
    const [first, second] = [await startRabbitmq(), await startRabbitmq()];
    try {
      const connection = await amqp.connect(first.url);
      await (await connection.createChannel()).assertQueue('q');
      const other = await amqp.connect(second.url);
      const channel = await other.createChannel();
      channel.on('error', () => {});
      await assert.rejects(channel.checkQueue('q'), /NOT_FOUND/);
      await connection.close();
      await other.close();
    } finally {
      await first.stop();
      await second.stop();
    }
  });

  it('restart, kill and start an own RabbitMQ on the same port', async () => {
    const broker = await startOwnRabbitmq();
    try {
      for (const interrupt of [() => broker.restart(), () => broker.kill().then(() => broker.start()), () => broker.closeConnections()]) {
        const connection = await amqp.connect(broker.url);
        connection.on('error', () => {});
        const closed = new Promise((resolve) => connection.once('close', resolve));
        await interrupt();
        await closed;
      }
      await (await amqp.connect(broker.url)).close();
    } finally {
      await broker.stop();
    }
  });

  it('answer as Redis and memcached', async () => {
    const [redis, memcached] = [await startRedis(), await startMemcached()];
    try {
      const client = new RedisClient(redis.url);
      assert.equal(await client.ping(), 'PONG');
      client.disconnect();
      assert.match(await ask(memcached.address, 'version\r\n'), /^VERSION /);
    } finally {
      await redis.stop();
      await memcached.stop();
    }
  });

  it('open a page in Chromium', async () => {
    const browser = await launchChromium();
    try {
      const page = await browser.newPage();
      await page.setContent('<title>open</title>');
      assert.equal(await page.title(), 'open');
    } finally {
      await browser.close();
    }
  });
});

async function withDatabase<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function ask(address: string, question: string): Promise<string> {
  const [host, port] = address.split(':');
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host, port: Number(port) }, () => socket.write(question));
    socket.once('error', reject);
    socket.once('data', (chunk) => {
      socket.destroy();
      resolve(chunk.toString());
    });
  });
}
