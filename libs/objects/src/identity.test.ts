/** Every object that travels has a version, a fingerprint and golden payloads, and none of them moves alone. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import type { Relation } from './backward.ts';
import type { AnyDefinition } from './define-object.ts';
import { defineObject } from './define-object.ts';
import { integer, object, since } from './fields.ts';
import type { JsonObject } from './field.ts';
import { fingerprintOf } from './fingerprint.ts';
import { compareVersions } from './object-version.ts';
import { wireName } from './record-codec.ts';
import { OBJECTS } from './registry.ts';

interface Pinned {
  /** Version and fingerprint of today's definition, as Nova's test_objects.py has them. */
  readonly identity: string;
  /** Every version ever released: the start of the SHA-256 of its golden payload's file. */
  readonly released: Readonly<Record<string, string>>;
  /** What it means that an older payload lacks a field: no fingerprint tells. */
  readonly meanings?: Readonly<Record<string, unknown>>;
}

// An object that Nova has as well is released in the version that we have of it; those two are Nova's own fingerprints.
const PINNED: Readonly<Record<string, Pinned>> = {
  ConsoleConnection: { identity: '1.0-99cf07d6c14ac1f68fe598e61c2a1ef3', released: { '1.0': 'd7f6d0bb221cf879' } },
  ConsoleGrant: { identity: '1.2-95d432283bdea0a06857bf5228e730e3', released: { '1.0': '546c569f5b1a7ab4', '1.1': 'cfaef4fea7a03a53', '1.2': '3d9e5adae8532c8d' }, meanings: { resumeGrant: null } },
  ConsoleSession: {
    identity: '1.2-40bb4750ec2850006cdcb43d4aa2382d',
    released: { '1.0': 'a7b43396c1761f35', '1.1': '7cad5c2c7b64e876', '1.2': '04e691a1f421d848' },
    meanings: { bytesIn: 0, bytesOut: 0, endingAt: null, endingReason: null },
  },
  ConsoleSessionEvent: { identity: '1.0-d495156622ea0f2608547b246676747c', released: { '1.0': '25798b9f55cd3d00' } },
  ConsoleSessionEvents: { identity: '1.0-8b0bcd094013a4cfeff1921df258a6da', released: { '1.0': '325660a7eaa09572' } },
  ConsoleSessionUse: { identity: '1.1-d28b1c75bbf278c288f5588bd0d363dc', released: { '1.0': '86d972a29097c62c', '1.1': 'd374509c60e59331' }, meanings: { claim: undefined } },
  Instance: { identity: '2.7-caa2c83773f660850c89ebe0f66cf59a', released: { '2.7': 'a94ae05643fc11db' }, meanings: { keypairs: undefined } },
  KeyPair: { identity: '1.4-1244e8d1b103cc69d038ed78ab3a8cc6', released: { '1.4': '1b76800777227aea' }, meanings: { type: 'ssh' } },
  KeyPairList: { identity: '1.3-94aad3ac5c938eef4b5e83da0212f506', released: { '1.3': '8b481d7df7c9dce5' } },
};

const RELEASED = new URL('../test-vectors/released/', import.meta.url);

interface Golden {
  readonly full: JsonObject;
  readonly least: JsonObject;
}

const fileOf = (name: string, version: string): URL => new URL(`${name}/${version}.json`, RELEASED);
const golden = (name: string, version: string): Golden => JSON.parse(readFileSync(fileOf(name, version), 'utf8')) as Golden;
const hashOf = (name: string, version: string): string => createHash('sha256').update(readFileSync(fileOf(name, version))).digest('hex').slice(0, 16);

/** What is wrong with an object's identity, and what to do about it; null when nothing is. */
function problemOf(definition: AnyDefinition, pinned: Pinned | undefined, hasGolden = (version: string) => existsSync(fileOf(definition.name, version))): string | null {
  const { name, version } = definition;
  const found = fingerprintOf(definition);
  const stepsFor = (next: string): string => `write its golden payload to libs/objects/test-vectors/released/${name}/${next}.json, and pin both here; docs/adding-a-field.md tells how`;
  const steps = stepsFor(version);
  if (pinned === undefined) return `${name} is not pinned (${found}): ${steps}`;
  const [pinnedVersion = ''] = pinned.identity.split('-');
  if (version === pinnedVersion && found !== pinned.identity) {
    return (
      `${name} changed and is still ${version} (${found}, pinned is ${pinned.identity}). Fields, remotable methods and child versions of a released ` +
      `version never change, for readers go by the version: make it ${nextMinor(version)}, mark what is new with since(), ${stepsFor(nextMinor(version))}`
    );
  }
  if (compareVersions(version, pinnedVersion) < 0) return `${name} went back from ${pinnedVersion} to ${version}: a version that was released stays released`;
  if (!hasGolden(version) || pinned.released[version] === undefined) return `${name} ${version} has no golden payload that is pinned (${found}): ${steps}`;
  if (found !== pinned.identity) return `${name} ${version} is new (${found}, pinned is ${pinned.identity}): ${steps}`;
  return null;
}

/** The fields whose objects moved on without the object around them; a list that says nothing of its children is as Nova has it. */
function leftBehind({ name, fields, options }: AnyDefinition): readonly string[] {
  const relations: Readonly<Record<string, Relation | undefined>> = options.childVersions === undefined ? (options.relations ?? {}) : { objects: Object.entries(options.childVersions) };
  return Object.entries(fields).flatMap(([field, { nested }]) => {
    const [, last = 'nothing'] = relations[field]?.at(-1) ?? [];
    const inside = nested?.manifest[nested.name] ?? last;
    if (last === inside || (last === 'nothing' && options.childVersions !== undefined)) return [];
    return [`${name}.${field} holds ${nested?.name} ${inside}, and ${name} says ${last}: give ${name} its next version too, and a line in its relations`];
  });
}

function nextMinor(version: string): string {
  const [major, minor] = version.split('.');
  return `${major}.${Number(minor) + 1}`;
}

describe('the identity of an object', () => {
  const before = defineObject('Box', '1.0', { size: integer() });
  const pinned: Pinned = { identity: fingerprintOf(before), released: { '1.0': 'x' } };
  const known = (version: string) => version in pinned.released;

  it('does not move without its version', () => {
    const changed = defineObject('Box', '1.0', { size: integer(), weight: integer() });
    assert.match(problemOf(changed, pinned, known) ?? '', /^Box changed and is still 1\.0 .* make it 1\.1, mark what is new with since\(\), write its golden payload to \S+Box\/1\.1\.json/);
  });

  it('does not move with its version alone: the new one needs a golden payload, and the pin', () => {
    const next = defineObject('Box', '1.1', { size: integer(), weight: since('1.1', integer(), 0) });
    assert.match(problemOf(next, pinned, known) ?? '', /^Box 1\.1 has no golden payload that is pinned \(1\.1-\w+\): write its golden payload to \S+Box\/1\.1\.json/);
    assert.match(problemOf(next, { ...pinned, released: { '1.0': 'x', '1.1': 'y' } }, () => true) ?? '', /^Box 1\.1 is new \(1\.1-\w+, pinned is 1\.0-\w+\)/);
    assert.match(problemOf(defineObject('Box', '0.9', { size: integer() }), pinned, known) ?? '', /^Box went back from 1\.0 to 0\.9/);
  });

  it('is pinned as soon as it is registered', () => {
    assert.match(problemOf(before, undefined) ?? '', /^Box is not pinned/);
    assert.deepEqual(Object.keys(PINNED).filter((name) => !Object.hasOwn(OBJECTS, name)), [], 'an object that was released stays registered');
  });

  it('moves with the objects inside of it', () => {
    const Inner = defineObject('Inner', '1.1', { size: integer() });
    const says = (relations: { readonly inner?: Relation }) => leftBehind(defineObject('Outer', '1.0', { inner: object(Inner) }, { relations }) as AnyDefinition);
    assert.match(says({}).join(), /^Outer\.inner holds Inner 1\.1, and Outer says nothing: give Outer its next version too/);
    assert.match(says({ inner: [['1.0', '1.0']] }).join(), /^Outer\.inner holds Inner 1\.1, and Outer says 1\.0/);
    assert.deepEqual(says({ inner: [['1.0', '1.1']] }), []);
    assert.deepEqual(Object.values(OBJECTS).flatMap(leftBehind), []);
  });

  it('gives every later field one meaning for older payloads, and keeps it', () => {
    for (const [name, { fields }] of Object.entries(OBJECTS)) {
      const later = Object.entries(fields).filter(([, field]) => field.since !== undefined);
      const meanings = Object.fromEntries(later.map(([field, { since }]) => [field, since?.meaning]));
      assert.deepEqual(meanings, PINNED[name]?.meanings ?? {}, `${name}: pin the meaning of a new field; that of a released one never changes`);
    }
  });

  it('is what is pinned, for every registered object', () => {
    assert.equal(problemOf(before, pinned, known), null);
    assert.deepEqual(Object.values(OBJECTS).map((each) => problemOf(each, PINNED[each.name])).filter((problem) => problem !== null), []);
  });
});

describe('a golden payload', () => {
  const all = Object.entries(PINNED).flatMap(([name, { released }]) => Object.entries(released).map(([version, hash]) => ({ name, version, hash })));

  it('is never edited, and never taken away', () => {
    for (const { name, version, hash } of all) assert.equal(hashOf(name, version), hash, `${name} ${version}: pin the hash of a new payload; a released one stays as it was`);
    const files = readdirSync(RELEASED).flatMap((name) => readdirSync(new URL(`${name}/`, RELEASED)).map((file) => `${name}/${file}`));
    assert.deepEqual(files.toSorted(), all.map(({ name, version }) => `${name}/${version}.json`).toSorted(), 'a file is pinned, and nothing else is there');
  });

  it('has every field of its version', () => {
    for (const { name, version } of all) {
      const fields = Object.entries(OBJECTS[name]?.fields ?? {}).filter(([, field]) => field.since === undefined || compareVersions(field.since.version, version) <= 0);
      assert.deepEqual(Object.keys(golden(name, version).full['nova_object.data'] as object).toSorted(), fields.map(([field]) => wireName(field)).toSorted(), `${name} ${version}: what is new says since(), and what was released stays`);
    }
  });

  it("is read by today's definition, which writes the same for a reader of that version", () => {
    for (const { name, version } of all) {
      for (const payload of Object.values(golden(name, version)) as JsonObject[]) {
        const definition = OBJECTS[name] as AnyDefinition;
        assert.equal(payload['nova_object.version'], version);
        const value = definition.fromPrimitive(payload) as never;
        assert.deepEqual(definition.toPrimitive(value, { version }), payload, `${name} ${version}: its readers no longer get what was released`);
      }
    }
  });
});
