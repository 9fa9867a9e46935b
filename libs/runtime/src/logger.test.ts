import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { captureLog } from './fixtures/capture-log.ts';

describe('logger', () => {
  it('writes one line of JSON an event, with time, level, msg, service and request_id', () => {
    const log = captureLog({ service: 'gatehouse-api' });
    log.logger.child({ requestId: 'req-1' }).info({ instanceUuid: 'i-1' }, 'console opened');
    const [line] = log.lines();
    assert.match(String(line?.['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual({ ...line, time: '' }, {
      time: '', level: 'info', service: 'gatehouse-api', request_id: 'req-1', instance_uuid: 'i-1', msg: 'console opened',
    });
  });

  it('writes errors with their code, stack and cause', () => {
    const log = captureLog();
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    log.logger.error({ err: new ServiceError('UNAVAILABLE', 'the host is not there', { cause }) }, 'no console');
    log.logger.error(new Error('alone'));
    const [line, alone] = log.lines() as { err: Record<string, unknown>; msg: string }[];
    assert.equal(line?.err['code'], 'UNAVAILABLE');
    assert.equal((line?.err['cause'] as Record<string, unknown>)['code'], 'ECONNREFUSED');
    assert.match(String(line?.err['stack']), /logger\.test\.ts/);
    assert.equal(alone?.msg, 'alone');
  });

  it('says nothing below its level', () => {
    const log = captureLog({ level: 'warn' });
    log.logger.info('quiet');
    log.logger.child({ a: 1 }).debug('quiet');
    assert.equal(log.text(), '');
  });

  it('writes for people on a terminal', () => {
    const log = captureLog({ pretty: true });
    log.logger.warn({ host: 'node-1', token: 'planted-secret' }, 'no answer');
    assert.match(log.text(), /^\[\d\d:\d\d:\d\d\] WARN: no answer \{"host":"node-1","token":"\[redacted\]"\}\n$/);
  });
});
