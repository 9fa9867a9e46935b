import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { ServiceError } from '@gatehouse/errors/service-error';
import { silentLogger } from '@gatehouse/runtime/logger';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { TrustedProxies } from '@gatehouse/runtime/trusted-proxies';
import { Identification } from './identification.ts';
import type { MetadataRequest } from './metadata-request.ts';
import { RateLimit } from './rate-limit.ts';
import { RefusedAskers } from './refused-askers.ts';

const ID = '15b942e0-b17a-5deb-b468-acabe2a20ce2';

/** A request of this peer without any header. */
function requestOf(remoteAddress: string): MetadataRequest {
  const socket = Object.assign(new PassThrough(), { remoteAddress });
  const raw = Object.assign(new PassThrough(), { complete: true, headers: {}, headersDistinct: {}, socket });
  return { id: 'req-1', method: 'GET', url: '/openstack', headers: {}, raw } as unknown as MetadataRequest;
}

describe('a guest that is known by its address', () => {
  const clock = new TestClock();
  const make = (findByAddress: (address: string) => Promise<string | null>): Identification => {
    const trust = { check: null, networks: new TrustedProxies(['10.0.0.0/8', 'fd00::/8']), proxies: new TrustedProxies([]) };
    return new Identification(trust, { findByAddress }, new RefusedAskers(clock, silentLogger), new RateLimit({ perSecond: 100, burst: 100 }, clock));
  };

  it('is told that the database is away, and not held against', async () => {
    const identification = make(() => Promise.reject(new ServiceError('UNAVAILABLE', 'the database cannot be reached')));
    for (let i = 0; i < 90; i += 1) await assert.rejects(identification.identify(requestOf('10.0.0.5')), { code: 'UNAVAILABLE' });
  });

  it('is looked up each time, by its address in the usual spelling', async () => {
    const asked: string[] = [];
    const identification = make(async (address) => (asked.push(address), ID));
    for (const peer of ['10.0.0.5', '::ffff:10.0.0.5', 'fd00:0:0::5', '10.0.0.5']) {
      const { instanceUuid, projectId, isForwarded } = await identification.identify(requestOf(peer));
      assert.deepEqual([instanceUuid, projectId, isForwarded], [ID, null, false]);
    }
    assert.deepEqual(asked, ['10.0.0.5', '10.0.0.5', 'fd00::5', '10.0.0.5']);
  });

  it('is nobody without an address', async () => {
    await assert.rejects(make(async () => ID).identify(requestOf('')), { code: 'PERMISSION_DENIED' });
  });
});
