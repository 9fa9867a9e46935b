/** docs/operating.md is read at night: the settings it lists are all there are, with the defaults that they have. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { consoleProxyConfig } from '@gatehouse/console-proxy/config';
import { consoleAuthConfig, consoleAuthProcessConfig } from '@gatehouse/consoleauth/config';
import { KNOWN_VARIABLES, variableName } from '@gatehouse/runtime/variables';

const PATH = new URL('../../docs/operating.md', import.meta.url).pathname;
const page = readFileSync(PATH, 'utf8');
const listed = new Map([...page.matchAll(/^\| `(GATEHOUSE_\w+)` \| (\S+) \|/gm)].map(([, name = '', fallback = '']) => [name, fallback]));
/** Each process's own, in the documents of the broker and the database. */
const ELSEWHERE = new Set(['GATEHOUSE_TRANSPORT_URL', 'GATEHOUSE_CELL_DATABASE_URL', 'GATEHOUSE_RPC_EXCHANGE', 'GATEHOUSE_RPC_QUEUES', 'GATEHOUSE_RPC_DELIVERY_LIMIT']);

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'unset';
  return Array.isArray(value) ? value.join(',') || 'none' : String(value);
}

describe('the page for operators', () => {
  it('lists every console setting that there is, and no other', () => {
    const there = [consoleAuthProcessConfig, consoleProxyConfig].flatMap(({ shape }) => Object.keys(shape).map(variableName));
    assert.deepEqual([...listed.keys()].toSorted(), [...new Set(there)].filter((name) => !ELSEWHERE.has(name)).toSorted());
  });

  it('says the defaults that they have', () => {
    const defaults: Readonly<Record<string, unknown>> = { ...consoleAuthConfig.parse({}), ...consoleProxyConfig.parse({}) };
    for (const [name, fallback] of listed) {
      const key = Object.keys({ ...consoleAuthProcessConfig.shape, ...consoleProxyConfig.shape }).find((each) => variableName(each) === name);
      assert.equal(fallback, shown(defaults[key ?? '']), name);
    }
  });

  it('names settings and files that are there', () => {
    for (const name of page.match(/GATEHOUSE_\w+[A-Z]/g) ?? []) assert.ok(KNOWN_VARIABLES.has(name), name);
    for (const [, target = ''] of page.matchAll(/\]\(([^)#]+)\)/g)) assert.ok(existsSync(join(dirname(PATH), target)), target);
  });
});
