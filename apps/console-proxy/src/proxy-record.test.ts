import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { AuditFacts } from '@gatehouse/runtime/audit';
import { captureLog } from '@gatehouse/runtime/fixtures/capture-log';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { RefusalLimit } from '@gatehouse/runtime/refusal-limit';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { ProxyRecord } from './proxy-record.ts';

const BAD_TOKEN = new ServiceError('UNAUTHENTICATED', 'No token was shown; open the console from its link.');
const NO_HOST = new ServiceError('UNAVAILABLE', "The console's host could not be reached.", { cause: new Error('ECONNREFUSED') });

describe('what a proxy writes down of those it turns away', () => {
  const clock = new TestClock();
  const metrics = createMetrics('console-proxy');
  const log = captureLog();
  const audited: AuditFacts[] = [];
  const audit = new RefusalLimit({ write: (_event, facts) => void audited.push(facts), check() {} }, clock);
  const record = new ProxyRecord('proxy-1', log.logger, metrics, audit, clock);

  const left = (lines: readonly Record<string, unknown>[]): number => lines.reduce((sum, line) => sum + Number(line['leftOut'] ?? line['left_out'] ?? 1), 0);

  it('is a few lines of a flood from one address, none fewer of everybody else, and the exact count of all', async () => {
    for (let time = 0; time < 10_000; time += 1) record.refused(BAD_TOKEN, { clientAddress: '192.0.2.66', requestId: `${time}` });
    record.refused(NO_HOST, { clientAddress: '192.0.2.66', host: 'compute-1' });
    record.refused(NO_HOST, { clientAddress: '192.0.2.66', host: 'compute-2' });
    record.refused(BAD_TOKEN, { clientAddress: '192.0.2.1' });
    assert.deepEqual(log.lines().map(({ client_address: address, code, host }) => [address, code, host]), [
      ...Array.from({ length: 10 }, () => ['192.0.2.66', 'UNAUTHENTICATED', undefined]),
      ['192.0.2.66', 'UNAVAILABLE', 'compute-1'],
      ['192.0.2.66', 'UNAVAILABLE', 'compute-2'],
      ['192.0.2.1', 'UNAUTHENTICATED', undefined],
    ]);
    await clock.advance(10_000);
    const summary = log.lines().at(-1)!;
    assert.deepEqual([summary['level'], summary['client_address'], summary['code'], summary['left_out']], ['warn', '192.0.2.66', 'UNAUTHENTICATED', 9_990]);
    assert.deepEqual([left(log.lines()), left(audited as never)], [10_003, 10_003]);
    assert.equal(audited.length, 104);
    assert.match(await metrics.registry.metrics(), /gatehouse_proxy_refusals_total\{code="UNAUTHENTICATED",.*\} 10001$/m);
  });

  it('is bounded whatever the number of addresses, and what is left out so far is told when the proxy stops', () => {
    const [logged, written] = [log.lines().length, audited.length];
    for (let host = 0; host < 5_000; host += 1) record.refused(BAD_TOKEN, { clientAddress: `10.0.${host >> 8}.${host & 255}` });
    assert.deepEqual([log.lines().length - logged, audited.length - written], [200, 1_000]);
    record.flush();
    audit.flush();
    assert.deepEqual([left(log.lines().slice(logged)), left(audited.slice(written) as never)], [5_000, 5_000]);
    assert.deepEqual([log.lines().at(-1)!['left_out'], clock.pending], [4_800, 0]);
  });
});
