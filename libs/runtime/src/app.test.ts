import assert from 'node:assert/strict';
import { runningMsOf } from '../../../test/servers/running-time.ts';
import { composeApp, type App, type Resource } from './app.ts';
import { captureLog } from './fixtures/capture-log.ts';

describe('an app made of several', () => {
  const stopped: string[] = [];
  const app = (name: string, drain = async (): Promise<void> => void stopped.push(name)): App => ({
    name, addresses: [{ name, url: `http://${name}` }], checkReady: async () => {}, drain,
  });
  const resource = (name: string): Resource => ({ name, close: async () => void stopped.push(name) });
  beforeEach(() => void stopped.splice(0));

  it('is not ready when one part is not', async () => {
    const unready = { ...app('proxy'), checkReady: () => Promise.reject(new Error('no agent answers')) };
    const whole = composeApp('all', { apps: [app('api'), unready], log: captureLog().logger });
    await assert.rejects(whole.checkReady(), /no agent answers/);
  });

  it('stops the rest when one part fails to stop, and says which', async () => {
    const log = captureLog();
    const broken = app('agent', () => Promise.reject(new Error('stuck')));
    await composeApp('all', { apps: [app('consoleauth'), broken, app('proxy')], resources: [resource('db')], log: log.logger }).drain();
    assert.deepEqual(stopped, ['proxy', 'consoleauth', 'db']);
    assert.equal(log.lines().find((line) => line['level'] === 'error')?.['part'], 'agent');
  });

  it('stops the rest in time when one part does not end', async () => {
    const log = captureLog();
    const stuck = app('api', () => new Promise(() => {}));
    const whole = composeApp('all', { apps: [app('proxy'), stuck], resources: [resource('db')], log: log.logger, drainTimeoutMs: 200 });
    const tookMs = await runningMsOf(() => whole.drain());
    assert.ok(tookMs < 400, `${tookMs} ms`);
    assert.deepEqual(stopped, ['proxy', 'db']);
    assert.equal(log.lines().find((line) => line['level'] === 'error')?.['part'], 'api');
  });

  it('drains the last started first, one after the other, and then the resources, last opened first', async () => {
    const slow = app('proxy', async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      stopped.push('proxy');
    });
    const whole = composeApp('all', {
      apps: [app('consoleauth'), slow, app('api')], resources: [resource('lock'), resource('db'), resource('transport')],
      log: captureLog().logger,
    });
    await whole.drain();
    assert.deepEqual(stopped, ['api', 'proxy', 'consoleauth', 'transport', 'db', 'lock']);
    assert.deepEqual(whole.addresses.map((address) => address.name), ['consoleauth', 'proxy', 'api']);
  });
});
