import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ServiceError } from '@gatehouse/errors/service-error';
import { defineObject } from './define-object.ts';
import type { AnyDefinition } from './define-object.ts';
import { ConsoleAuthToken, ConsoleConnection, ConsoleConnectionList, ConsoleSession, SubThing, Thing } from './fixtures/stand-ins.ts';
import type { JsonObject } from './field.ts';
import { KeyPair } from './key-pair.ts';
import { KeyPairList } from './key-pair-list.ts';
import { parseVersion } from './object-version.ts';
import type { Manifest } from './object-version.ts';

interface RecordedCase {
  readonly case: string;
  readonly primitive?: JsonObject;
  readonly error?: { readonly class: string };
}

const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../test-vectors/${name}.json`, import.meta.url), 'utf8'));
const { cases } = read('31-ovo-primitives') as { readonly cases: readonly RecordedCase[] };

const DEFINITIONS = new Map<unknown, AnyDefinition>(
  [ConsoleAuthToken, ConsoleConnection, ConsoleConnectionList, ConsoleSession, KeyPair, KeyPairList, SubThing, Thing].map((each) => [each.name, each as AnyDefinition]),
);

const nameOf = (primitive: JsonObject): string => primitive['nova_object.name'] as string;
const definitionOf = (primitive: JsonObject): AnyDefinition => DEFINITIONS.get(nameOf(primitive)) as AnyDefinition;

/** `changes` is a Python set: without order. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, each]) => [name, name === 'nova_object.changes' ? (each as string[]).toSorted() : comparable(each)] as const);
  return Object.fromEntries(entries);
}

/** The version of each object in a primitive; of one that is there twice the outer one's. */
function versionsIn(primitive: unknown): Manifest {
  const found: Record<string, string> = {};
  let level: unknown[] = [primitive];
  while (level.length > 0) {
    for (const each of level as Record<string, string>[]) if (each['nova_object.name'] !== undefined) found[each['nova_object.name']] ??= each['nova_object.version'] as string;
    level = level.flatMap((each) => Object.values(each as object)).filter((each) => typeof each === 'object' && each !== null);
  }
  return found;
}

/** The object that a family of cases was made from, as oslo wrote it whole. */
const SOURCES: Readonly<Record<string, string>> = {
  ConsoleConnection: 'ConsoleConnection 1.2, all fields set (all in changes)',
  'nova KeyPair': 'nova KeyPair target_version=None',
  'nova KeyPairList': 'nova KeyPairList with version_manifest {"KeyPairList": "1.3", "KeyPair": "1.4"}',
  ConsoleSession: 'ConsoleSession 1.3 nested',
};

const OTHER_MAJOR = 'ConsoleConnection target_version=0.9';
const TARGETED = /^(.*?) (?:with (?:version_)?manifest (\{.*\})|target_version=([\d.]+))/;

function source(family: string): JsonObject {
  return cases.find((each) => each.case === SOURCES[family])?.primitive as JsonObject;
}

describe('a primitive that oslo.versionedobjects wrote', () => {
  for (const { case: title, primitive, error } of cases) {
    const [, family = '', manifestText, version] = TARGETED.exec(title) ?? [];
    if (family === '' || title === SOURCES[family]) continue;
    const target = manifestText === undefined ? { version } : { manifest: JSON.parse(manifestText) as Manifest };
    const options = { ...target, version: version ?? (target.manifest?.[nameOf(source(family))] as string) };
    const write = (): unknown => definitionOf(source(family)).toPrimitive(definitionOf(source(family)).fromPrimitive(source(family)) as never, options);

    if (error !== undefined) {
      it(`is refused by us as by oslo: ${title}`, () => {
        assert.throws(write, (thrown) => thrown instanceof ServiceError && thrown.details['oslo'] === error.class);
      });
    } else {
      it(`is what we write of the same object: ${title}`, () => assert.deepEqual(comparable(write()), comparable(primitive)));
    }
  }

  it('is refused by a reader of another major, as oslo refuses it', () => {
    const { primitive } = cases.find((each) => each.case === OTHER_MAJOR) as Required<RecordedCase>;
    assert.throws(() => ConsoleConnection.fromPrimitive(primitive), (thrown) => thrown instanceof ServiceError && thrown.details['oslo'] === 'IncompatibleObjectVersion');
  });

  for (const { case: title, primitive } of cases) {
    if (primitive === undefined || title === OTHER_MAJOR) continue;
    it(`is read, and written again equal: ${title}`, () => {
      const definition = definitionOf(primitive);
      const manifest = versionsIn(primitive);
      const value = definition.fromPrimitive(structuredClone(primitive));
      assert.deepEqual(comparable(definition.toPrimitive(value as never, { version: manifest[definition.name], manifest })), comparable(primitive));
    });
  }
});

describe('versions and manifests as oslo has them', () => {
  const tables = read('34-versions-and-manifests') as {
    readonly is_compatible: readonly (readonly [requested: string, current: string, boolean])[];
    readonly convert_version_to_tuple: readonly (readonly [string, unknown])[];
    readonly manifests: Readonly<Record<string, Manifest>>;
  };

  it('refuses what is no version of two parts or three', () => {
    for (const text of ['1', '', 'x', '1.x', '1.0rc1', '1.2.3.4', '-1.0', ' 1.0', '1.0\n', '10000.0', null, 1, 1.1]) assert.throws(() => parseVersion(text, 'v'), ServiceError);
  });

  it('reads an object exactly where a class of that version does, but for a third part, which it passes over as oslo’s serializer does', () => {
    for (const [requested, current, compatible] of tables.is_compatible) {
      const reader = defineThing(current);
      if (reader === null) continue;
      const primitive = { ...Thing.toPrimitive({ id: 1 }), 'nova_object.version': requested };
      const readable = compatible || requested.split('.').slice(0, 2).join('.') === current;
      if (readable) assert.deepEqual(reader.fromPrimitive(primitive), { id: 1 }, `${requested} ${current}`);
      else assert.throws(() => reader.fromPrimitive(primitive), (thrown) => thrown instanceof ServiceError && thrown.details['oslo'] === 'IncompatibleObjectVersion');
    }
  });

  it('orders versions as Python orders their numbers', () => {
    const texts = tables.convert_version_to_tuple.map(([text]) => text).filter((text) => /^\d+\.[\d.]+$/.test(text));
    for (const a of texts) {
      for (const b of texts) assert.equal(Math.sign(parseVersion(a, a).rank - parseVersion(b, b).rank), Math.sign(compareNumbers(a, b)), `${a} ${b}`);
    }
    assert.ok(parseVersion('1.2.0', 'v').rank > parseVersion('1.2', 'v').rank);
    assert.ok(parseVersion('1.10', 'v').rank > parseVersion('1.9.9', 'v').rank);
  });

  it('knows the same manifest of each object', () => {
    for (const [name, manifest] of Object.entries(tables.manifests)) assert.deepEqual(DEFINITIONS.get(name)?.manifest, manifest);
  });
});

function compareNumbers(a: string, b: string): number {
  const [left, right] = [a, b].map((each) => each.split('.').map(Number)) as [number[], number[]];
  const at = left.findIndex((each, i) => each !== right[i]);
  return at === -1 ? left.length - right.length : (left[at] as number) - (right[at] ?? -1);
}

/** Thing in another version; null where ours cannot have that version. */
function defineThing(version: string): AnyDefinition | null {
  return version.split('.').length === 2 ? (defineObject('Thing', version, Thing.fields) as AnyDefinition) : null;
}
