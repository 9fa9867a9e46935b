import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { consoleProxyConfig, proxyNameOf } from './config.ts';

describe('the name of a console proxy', () => {
  const nameOf = (settings: object): string => proxyNameOf(consoleProxyConfig.parse(settings));

  it('differs between proxies of one machine, and fits a queue', () => {
    const names = ['6080', '6081', '0'].map((proxyPort) => nameOf({ proxyPort }));
    assert.deepEqual(names, [`${hostname()}-6080`, `${hostname()}-6081`, `${hostname()}-pid${process.pid}`]);
    for (const name of names) assert.match(name, /^[A-Za-z0-9._-]+$/);
  });

  it('is the one that was set', () => {
    assert.equal(nameOf({ proxyName: 'edge-1' }), 'edge-1');
  });
});
