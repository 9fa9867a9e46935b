import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { isServiceError } from '@gatehouse/errors/service-error';
import { address, choice, csv, durationSeconds, flag, hostPort, integer, name, orNull, port, readConfig, rpcLevel, secret, secretList,
  secretUrl, secretUrls, text, url, type ConfigShape, type Environment } from './config.ts';
import { suggestVariable, variableName } from './variables.ts';

function faultsOf(shape: ConfigShape, env: Environment): string {
  try {
    readConfig(shape, env);
  } catch (error) {
    assert.ok(isServiceError(error), String(error));
    assert.equal(error.code, 'INVALID_ARGUMENT');
    return error.message;
  }
  throw new assert.AssertionError({ message: 'the configuration was accepted' });
}

describe('configuration', () => {
  let folder = '';
  before(() => void (folder = mkdtempSync(join(tmpdir(), 'gatehouse-config-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  describe('refuses', () => {
    it('a missing value, naming the variable and what to set', () => {
      const shape = z.object({ transportUrl: secretUrl(['amqp', 'amqps']) });
      assert.equal(faultsOf(shape, {}),
        'GATEHOUSE_TRANSPORT_URL is not set: set a URL like amqp://host or amqps://host');
      assert.match(faultsOf(shape, { GATEHOUSE_TRANSPORT_URL: '  ' }), /is not set/);
    });

    it('everything that is wrong in one message, one line a fault', () => {
      const shape = z.object({ apiPort: port(1), consoleTokenTtl: durationSeconds(600), driver: choice(['simulated', 'qemu'], 'qemu') });
      const message = faultsOf(shape, { GATEHOUSE_API_PORT: '80x', GATEHOUSE_CONSOLE_TOKEN_TTL: '-1', GATEHOUSE_DRIVER: 'xen' });
      assert.deepEqual(message.split('\n'), [
        '3 settings are wrong:',
        '  GATEHOUSE_API_PORT is "80x": set a port from 0 to 65535 (0 picks a free one)',
        '  GATEHOUSE_CONSOLE_TOKEN_TTL is "-1": set a duration from 1 to 31536000 seconds (600, 10m, 12h)',
        '  GATEHOUSE_DRIVER is "xen": set one of simulated, qemu',
      ]);
    });

    const wrong: readonly (readonly [string, z.ZodType, readonly string[]])[] = [
      ['ports', port(), ['65536', '-1', '1e3', '0x50', '8 0', '80.5', 'http', '٣']],
      ['durations', durationSeconds(), ['0', '1.5', '10 m', '1w', '99999999999', 'PT10M', '366d']],
      ['URLs', url(['http', 'https']), ['localhost:80', 'ftp://host', 'http://', '//host', 'javascript:alert(1)']],
      ['flags', flag(), ['maybe', '2', 'tru']],
      ['whole numbers', integer({ min: 2, max: 5 }), ['1', '6', '3.0', 'three']],
      ['addresses', address(), ['127.0.0.1:80', 'a b', '*', '[::1]']],
      ['host:port', hostPort(), ['127.0.0.1', ':80', '::1:80', 'host:65536', 'host:-1', 'host:80/x']],
      ['names', name(), ['-a', 'a/b', 'a b', 'ü', 'a'.repeat(256)]],
      ['levels', rpcLevel({ topic: 'a', version: '3.1' }), ['3', 'v3.0', '3.0.1', '3.x', 'newest', 'AUTO', '3.2', '2.0', '4.1']],
      ['texts', text('some words'), ['x'.repeat(1_025)]],
      ['secret lists', secretList(), [',', ' , ']],
      ['lists of URLs', secretUrls(['postgresql']), [',', 'postgresql://a/b,http://c/d', 'a,b']],
    ];
    for (const [what, setting, values] of wrong) {
      for (const value of values) {
        it(`${what} like "${value.slice(0, 20)}"`, () => {
          assert.match(faultsOf(z.object({ subject: setting }), { GATEHOUSE_SUBJECT: value }), /^GATEHOUSE_SUBJECT is /);
        });
      }
    }

    it('secrets without repeating them', () => {
      const shape = z.object({ transportUrl: secretUrl(['amqp']), cellDatabaseUrl: secretUrl(['postgresql']) });
      const message = faultsOf(shape, {
        GATEHOUSE_TRANSPORT_URL: 'http://guest:hunter2@broker',
        GATEHOUSE_CELL_DATABASE_URL: 'hunter2',
      });
      assert.ok(!message.includes('hunter2'), message);
      assert.match(message, /GATEHOUSE_TRANSPORT_URL is wrong \(its value is secret and not shown\): set a URL like amqp:\/\/host/);
    });

    it('a secret given twice, in a missing file, and in an empty file', () => {
      const empty = join(folder, 'empty');
      writeFileSync(empty, '\n');
      const shape = z.object({ metadataSecrets: secretList() });
      assert.match(faultsOf(shape, { GATEHOUSE_METADATA_SECRETS: 'a', GATEHOUSE_METADATA_SECRETS_FILE: empty }),
        /^GATEHOUSE_METADATA_SECRETS and GATEHOUSE_METADATA_SECRETS_FILE are both set: set one of them$/);
      assert.match(faultsOf(shape, { GATEHOUSE_METADATA_SECRETS_FILE: join(folder, 'none') }),
        /^GATEHOUSE_METADATA_SECRETS_FILE names .*none, which cannot be read \(ENOENT\): set the path of a readable file$/);
      assert.match(faultsOf(shape, { GATEHOUSE_METADATA_SECRETS_FILE: empty }), /is empty or longer/);
    });
  });

  it('names variables after settings by one rule', () => {
    assert.equal(variableName('apiPort'), 'GATEHOUSE_API_PORT');
    assert.equal(variableName('consoleTokenTtl'), 'GATEHOUSE_CONSOLE_TOKEN_TTL');
    assert.equal(variableName('host'), 'GATEHOUSE_HOST');
  });

  it('warns of unknown variables and suggests the one that was meant', () => {
    const warnings: string[] = [];
    const shape = z.object({ apiPort: port(8774) });
    const env = { GATEHOUSE_API_PROT: '1', GATEHOUSE_METADATA_PORT: '2', GATEHOUSE_ZZZZZZZZZ: '3', PATH: '/bin' };
    readConfig(shape, env, (message) => warnings.push(message));
    assert.deepEqual(warnings, [
      'GATEHOUSE_API_PROT is not a setting of Gatehouse and has no effect; did you mean GATEHOUSE_API_PORT?',
      'GATEHOUSE_ZZZZZZZZZ is not a setting of Gatehouse and has no effect',
    ]);
    assert.equal(suggestVariable('GATEHOUSE_PROXYPORT', ['GATEHOUSE_PROXY_PORT']), 'GATEHOUSE_PROXY_PORT');
  });

  it('reads values of every kind, with defaults for what is not set', () => {
    const clock = { topic: 'clock', version: '3.1' };
    const shape = z.object({
      apiPort: port(8774), opsPort: port(9464), consoleTokenTtl: durationSeconds(600), proxyBaseUrl: url(['http', 'https']),
      origins: csv([]), isolated: flag(false), agentListen: hostPort('127.0.0.1:0'), pinA: rpcLevel(clock), pinB: rpcLevel(clock), pinC: rpcLevel(clock, '3.1'), nothing: orNull(text('words')),
    });
    const config = readConfig(shape, {
      GATEHOUSE_API_PORT: ' 0 ', GATEHOUSE_OPS_PORT: '', GATEHOUSE_CONSOLE_TOKEN_TTL: '12h', GATEHOUSE_ISOLATED: 'Yes',
      GATEHOUSE_PROXY_BASE_URL: 'https://console.example/x', GATEHOUSE_ORIGINS: 'a, b,,', GATEHOUSE_AGENT_LISTEN: '[::1]:7', GATEHOUSE_PIN_B: '3.0',
    });
    assert.deepEqual(config, {
      apiPort: 0, opsPort: 9464, consoleTokenTtl: 43_200, proxyBaseUrl: 'https://console.example/x',
      origins: ['a', 'b'], isolated: true, agentListen: '[::1]:7', pinA: 'auto', pinB: '3.0', pinC: '3.1', nothing: null,
    });
  });

  it('reads secrets from files, without the line end', () => {
    const file = join(folder, 'secret');
    writeFileSync(file, 'one,two\n');
    const shape = z.object({ metadataSecrets: orNull(secretList()), password: secret('a password', 'none') });
    assert.deepEqual(readConfig(shape, { GATEHOUSE_METADATA_SECRETS_FILE: file }),
      { metadataSecrets: ['one', 'two'], password: 'none' });
  });
});
