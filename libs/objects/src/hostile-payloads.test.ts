import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ServiceError } from '@gatehouse/errors/service-error';
import { backport } from './backport.ts';
import type { AnyDefinition } from './define-object.ts';
import * as standIns from './fixtures/stand-ins.ts';
import { seedsOf } from './fixtures/seeds.ts';
import { JSON_DEPTH_MAX, LIST_ITEMS_MAX, STRING_LENGTH_MAX } from './fields.ts';
import { OBJECTS } from './registry.ts';

type Node = Record<string, unknown>;

const MESSAGE_LENGTH_MAX = 1_000;
/** The same payloads each time: others are found on purpose, not by a run that was to say whether all is well. */
const SEED = 20260701;
const registered = Object.values(OBJECTS);
const all = [...registered, ...Object.values(standIns).map((each) => each as AnyDefinition)];

function deep(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i += 1) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

/** What a sender could put anywhere; numbers beyond JSON are what tolerant readers make of Python's. */
const hostile = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>('\ud800', 'a\udfffb', '', '\u0000', '__proto__', 'constructor', NaN, Infinity, -1, 1e300, 2n ** 70n, undefined),
  fc.constantFrom(JSON_DEPTH_MAX + 1, 5_000).map(deep),
  fc.constantFrom(LIST_ITEMS_MAX + 1).map((length) => new Array<number>(length).fill(0)),
  fc.constant('x'.repeat(STRING_LENGTH_MAX + 1)),
  fc.constantFrom('{"__proto__": {"polluted": 1}}', '{"constructor": {"prototype": {"polluted": 1}}}', '{"toString": 1, "hasOwnProperty": 2, "valueOf": null}').map((text) => JSON.parse(text) as unknown),
);

const mutation = fc.record({ at: fc.nat(), kind: fc.constantFrom('replace', 'remove', 'rename', 'add', 'swap'), other: fc.nat(), value: hostile });
type Mutation = typeof mutation extends fc.Arbitrary<infer M> ? M : never;

/** Every place in a JSON value, as its container and key. */
function placesIn(value: unknown): readonly (readonly [Node, string])[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap((key) => [[value as Node, key] as const, ...placesIn((value as Node)[key])]);
}

function mutate(seed: unknown, mutations: readonly Mutation[]): unknown {
  const root: Node = { seed: structuredClone(seed) };
  // Of the seed alone: what a mutation puts in is not walked into, for it may be endless.
  const places = placesIn(root);
  for (const { at, kind, other, value } of mutations) {
    const [container, key] = places[at % places.length] as [Node, string];
    const [from, name] = placesIn({ seed })[other % places.length] as [Node, string];
    if (kind === 'replace') container[key] = value;
    else if (kind === 'remove') delete container[key];
    else if (kind === 'rename') container[`${key}_`] = container[key];
    else if (kind === 'add') Object.defineProperty(container, '__proto__', { value, enumerable: true, configurable: true, writable: true });
    else container[key] = structuredClone(from[name]);
  }
  return root['seed'];
}

/** A refusal of ours, or an object that is written, read and written the same. */
function assertRefusedOrRead(definition: AnyDefinition, payload: unknown): void {
  let value: unknown;
  try {
    value = definition.fromPrimitive(payload);
  } catch (error) {
    return assertRefusal(error, definition.name);
  }
  assert.ok(Object.isFrozen(value));
  const written = definition.toPrimitive(value as never);
  assert.deepEqual(definition.toPrimitive(definition.fromPrimitive(JSON.parse(JSON.stringify(written))) as never), JSON.parse(JSON.stringify(written)));
}

function assertRefusal(error: unknown, ...starts: readonly string[]): void {
  assert.ok(error instanceof ServiceError && error.code === 'INVALID_ARGUMENT', error instanceof Error ? error.stack : String(error));
  assert.ok(error.message.length <= MESSAGE_LENGTH_MAX, error.message.slice(0, 200));
  assert.ok(starts.some((start) => String(error.details['path']).startsWith(start)), `${error.message} has the path ${String(error.details['path'])}`);
}

describe('a hostile payload', () => {
  afterEach(() => assert.equal((({}) as Node)['polluted'], undefined));

  for (const definition of all) {
    it(`is refused by name, or it is a ${definition.name}: any JSON`, () => {
      const around = { 'nova_object.name': definition.name, 'nova_object.namespace': 'nova', 'nova_object.version': definition.version };
      fc.assert(
        fc.property(hostile, (value) => {
          for (const payload of [value, { ...around, 'nova_object.data': value }, { ...around, 'nova_object.data': {}, 'nova_object.changes': value }]) assertRefusedOrRead(definition, payload);
        }),
        { numRuns: 50, seed: SEED },
      );
    });

    it(`is refused by name, or it is a ${definition.name}: valid ones that were changed`, () => {
      const seeds = seedsOf(definition.name);
      if (seeds.length === 0) return assert.ok(definition === (standIns.SubThing as AnyDefinition) || definition === (standIns.Thing as AnyDefinition));
      fc.assert(
        fc.property(fc.constantFrom(...seeds), fc.array(mutation, { minLength: 1, maxLength: 4 }), (seed, mutations) => assertRefusedOrRead(definition, mutate(seed, mutations))),
        { numRuns: 150, seed: SEED },
      );
    });
  }

  it('is refused by name, or it is written for an older reader, whatever the reader says it knows', () => {
    const names = registered.map((each) => each.name);
    const version = fc.oneof(fc.constantFrom('1.0', '1.1', '1.2', '1.4', '2.0', '2.7', '0.9', '9.9', '1.0.1'), fc.string());
    const manifest = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), version);
    const seeds = names.flatMap(seedsOf);
    fc.assert(
      fc.property(fc.constantFrom(...seeds), fc.array(mutation, { maxLength: 2 }), manifest, (seed, mutations, known) => {
        try {
          assert.equal(typeof backport(mutate(seed, mutations), known), 'object');
        } catch (error) {
          assertRefusal(error, 'object', 'manifest', ...names);
        }
      }),
      { numRuns: 300, seed: SEED },
    );
  });
});
