/** Python's own ObjectVersionChecker at the other end: over classes built from our definitions, and over all of Nova's. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { startPythonLines } from '../../../test/servers/python-lines.ts';
import type { PythonLines } from '../../../test/servers/python-lines.ts';
import type { AnyDefinition } from './define-object.ts';
import { defineObject } from './define-object.ts';
import * as f from './fields.ts';
import { pythonDescription } from './fixtures/python-description.ts';
import { fingerprint, fingerprintOf } from './fingerprint.ts';
import type { ObjectDescription } from './fingerprint.ts';
import { KeyPair } from './key-pair.ts';
import { KeyPairList } from './key-pair-list.ts';
import { pyFloat, pyTuple, pythonRepr, pythonStr } from './python-repr.ts';
import { OBJECTS } from './registry.ts';

// One of everything that a fingerprint can tell apart.
const everything = {
  text: f.string().default("it's é"),
  empty: f.string().default(''),
  nothing: f.string().nullable().default(null),
  whole: f.integer().default(12),
  half: f.float().default(0.5),
  one: f.float().default(1),
  large: f.float().default(1.5e22),
  yes: f.boolean().default(true),
  when: f.datetime().default(new Date('2026-07-01T12:30:00Z')),
  id: f.uuid().nullable(),
  word: f.enumeration(['b', 'a']).default('a'),
  listed: f.enumeration(['a'], { form: 'list' }).nullable(),
  named: f.enumeration(['x86_64', 'armv7'], { typeName: 'Architecture' }),
  names: f.listOf(f.string()).default(['a', "b's"]),
  loads: f.listOf(f.float()).default([1, 0.25]),
  words: f.listOf(f.enumeration(['a', 'b'])),
  options: f.mapOf(f.string()).default({ b: 'x', a: 'y' }),
  ports: f.setOf(f.integer()).default(new Set([10, 9, 2])),
  keyPair: f.object(KeyPair).nullable(),
  keyPairs: f.listOf(f.object(KeyPair)).nullable().default([]),
  lists: f.listOf(f.listOf(f.integer())),
  once: f.string().readOnly(),
  maybe: f.string().optional(),
  later: f.since('1.3', f.integer().default(3), 0),
};
const methods = [
  'save(self)',
  "find(cls, context, name, host=None, sort=('a', {'b': [1.5]}), *more, **rest)",
  'ask(cls, context: str, a: int = 1, *, b, c=None) -> bool',
];
const Everything = defineObject('Everything', '1.3', everything, { methods, relations: { keyPair: [['1.0', '1.4']] } });
const children = { '1.10': '1.4', '1.0': '1.0', '1.9': '1.3' };
const EverythingList = defineObject('EverythingList', '1.10', { objects: f.listOf(f.object(KeyPair)) }, { childVersions: children });

describe("fingerprints beside Python's oslo.versionedobjects", function () {
  this.timeout(90_000);
  let python: PythonLines;

  before(() => {
    python = startPythonLines(fileURLToPath(new URL('fixtures/python_objects.py', import.meta.url)));
  });

  after(() => python?.stop());

  it('are the same for our definitions', async () => {
    const definitions = [...Object.values(OBJECTS), Everything as AnyDefinition, EverythingList as AnyDefinition];
    const computed = await python.ask({ do: 'fingerprints', descriptions: definitions.map(pythonDescription) });
    assert.deepEqual(Object.fromEntries(definitions.map((each) => [each.name, fingerprintOf(each)])), computed);
  });

  it("are the same for every object of Nova's, and KeyPair and KeyPairList are Nova's", async () => {
    const nova = (await python.ask({ do: 'nova' })) as Readonly<Record<string, { description: ObjectDescription; fingerprint: string }>>;
    assert.ok(Object.keys(nova).length > 100);
    const ours = Object.fromEntries(Object.entries(nova).map(([name, { description }]) => [name, fingerprint(description)]));
    assert.deepEqual(ours, Object.fromEntries(Object.entries(nova).map(([name, each]) => [name, each.fingerprint])));
    for (const definition of [KeyPair, KeyPairList]) assert.equal(fingerprintOf(definition as AnyDefinition), nova[definition.name]?.fingerprint);
  });

  it('stand on values printed as Python prints them', async () => {
    const cases = [
      [pyTuple(null, true, 7, pyFloat(7), pyFloat(-0), pyFloat(1e16), pyFloat(1e-5), pyFloat(123456789.125)), '(None, True, 7, 7.0, -0.0, 1e16, 1e-5, 123456789.125)'],
      [["it's", '"', '\'"', 'é🗝', '\n\\\t\u0000\u007f\u00a0\u2028\u{e0001}'], String.raw`["it's", '"', '\'"', 'é🗝', '\n\\\t\x00\x7f\xa0\u2028\U000e0001']`],
      [new Map([['a', pyTuple('b')]]), "{'a': ('b',)}"],
    ] as const;
    for (const [value, source] of cases) assert.deepEqual([pythonRepr(value), pythonStr(value)], await python.ask({ do: 'repr', source }));
  });
});
