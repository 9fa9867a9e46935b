import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ServiceError } from '@gatehouse/errors/service-error';
import { Thing } from './fixtures/stand-ins.ts';
import type { AnyField } from './field.ts';
import * as f from './fields.ts';
import * as n from './network-fields.ts';

interface RecordedCase {
  readonly field: string;
  readonly op: 'coerce' | 'from_primitive';
  readonly input_python: string;
  /** Absent where Python's value has no JSON at all; a marker such as {"__datetime__": ...} where it has none of its own. */
  readonly input?: unknown;
  readonly primitive_json?: string;
  readonly error?: string;
}

const { cases } = JSON.parse(readFileSync(new URL('../test-vectors/30-ovo-fields.json', import.meta.url), 'utf8')) as { readonly cases: readonly RecordedCase[] };

const FIELDS: Readonly<Record<string, AnyField>> = {
  BooleanField: f.boolean(),
  DateTimeField: f.datetime(),
  'DateTimeField(tzinfo_aware=False)': f.datetime(),
  DictOfIntegersField: f.mapOf(f.integer()),
  DictOfListOfStringsField: f.mapOf(f.listOf(f.string())),
  DictOfNullableStringsField: f.mapOf(f.string().nullable()),
  DictOfStringsField: f.mapOf(f.string()),
  'EnumField(a,b)': f.enumeration(['a', 'b'], { form: 'list' }),
  FlexibleBooleanField: f.boolean({ typeName: 'FlexibleBoolean' }),
  FloatField: f.float(),
  IPAddressField: n.ipAddress(),
  IPNetworkField: n.ipNetwork(),
  IPV4AddressField: n.ipv4Address(),
  IPV4AndV6AddressField: n.ipv4AndV6Address(),
  IPV4NetworkField: n.ipv4Network(),
  IPV6AddressField: n.ipv6Address(),
  IPV6NetworkField: n.ipv6Network(),
  IntegerField: f.integer(),
  ListOfDictOfNullableStringsField: f.listOf(f.mapOf(f.string().nullable())),
  'ListOfEnumField(a,b)': f.listOf(f.enumeration(['a', 'b'], { form: 'list' })),
  ListOfIntegersField: f.listOf(f.integer()),
  'ListOfObjectsField(Thing)': f.listOf(f.object(Thing)),
  ListOfSetsOfIntegersField: f.listOf(f.setOf(f.integer())),
  ListOfStringsField: f.listOf(f.string()),
  ListOfUUIDField: f.listOf(f.uuid()),
  MACAddressField: n.macAddress(),
  NonNegativeFloatField: f.nonNegativeFloat(),
  NonNegativeIntegerField: f.nonNegativeInteger(),
  'ObjectField(Thing)': f.object(Thing),
  'ObjectField(Thing,nullable)': f.object(Thing).nullable(),
  PCIAddressField: n.pciAddress(),
  SensitiveStringField: f.string({ typeName: 'SensitiveString' }),
  SetOfIntegersField: f.setOf(f.integer()),
  StringField: f.string(),
  'StringField(default=dflt)': f.string().default('dflt'),
  'StringField(nullable)': f.string().nullable(),
  UUIDField: f.uuid(),
  VersionPredicateField: f.string({ typeName: 'VersionPredicate' }),
};

/** Fields that ours cannot be, and why. */
const NOT_OURS: Readonly<Record<string, string>> = { 'ObjectField(Thing,subclasses)': 'objects are data and have no subclasses: a field holds one definition' };

/** What oslo writes and we refuse, or write otherwise. */
const STRICTER: readonly { readonly why: string; readonly fields: RegExp; readonly primitives: RegExp }[] = [
  { why: 'a UUID that is none would be a key that nothing is found by', fields: /UUID/, primitives: /^"(not-a-uuid|1|)"$/ },
  { why: 'a number beyond 2^53 would lose its last digits', fields: /^Integer/, primitives: /^10{20}$/ },
  { why: 'NaN and the infinities are not JSON', fields: /Float/, primitives: /^(NaN|Infinity)$/ },
  { why: 'oslo takes any character for the dot of a PCI address', fields: /^PCI/, primitives: /^"0000:02:00x1"$/ },
];

/** Where oslo takes a value of a program and makes another of it, we take from the wire what is of the type, and refuse the rest. */
const SLOPPY: readonly { readonly why: string; readonly fields: RegExp; readonly inputs: RegExp }[] = [
  { why: 'a number or a truth is no text', fields: /String|UUID/, inputs: /^(-?\d+|-?\d*\.\d+|\d+\.0|1e[-+]\d+|True|False|\['a', 1\]|\{.*: \[?('b', )?[15]\]?\})$/ },
  { why: 'a text is no number', fields: /Integer|Float/, inputs: /'/ },
  { why: 'a fraction is no integer', fields: /Integer/, inputs: /^-?\d+\.\d+$/ },
  { why: 'a truth is no number', fields: /Integer|Float/, inputs: /^(True|False)$/ },
  { why: 'only true and false are true or false: oslo takes the text False for true', fields: /Boolean/, inputs: /^(?!True$|False$)/ },
  { why: 'a short form or a number is no address', fields: /^IPAddress/, inputs: /^('1\.2'|\d+)$/ },
  { why: 'a number beyond 2^53 would lose its last digits', fields: /^Integer/, inputs: /^10{20}$/ },
  { why: 'a UUID that is none would be a key that nothing is found by', fields: /UUID/, inputs: /^'(not-a-uuid|)'$/ },
  { why: 'oslo takes any character for the dot of a PCI address', fields: /^PCI/, inputs: /X1/ },
];

/** What oslo refuses of a program and we take, for on the wire it is the field's own form. */
const WIRE_FORMS: readonly { readonly why: string; readonly fields: RegExp; readonly inputs: RegExp }[] = [
  { why: 'a set travels as a list', fields: /^SetOf/, inputs: /^\[1, 2\]$/ },
  { why: 'a predicate is for its reader to understand', fields: /^VersionPredicate/, inputs: /./ },
];

const title = ({ field, op, input_python: input }: RecordedCase): string => `${field} ${op} ${input}`;
const isMarker = (value: unknown): boolean => JSON.stringify(value)?.includes('"__') ?? true;

/** Read and written again; null when it was refused. */
function roundTrip(field: AnyField, value: unknown): { readonly written: unknown } | null {
  try {
    return { written: field.toWire(field.fromWire(value, 'attr') as never, 'attr') };
  } catch (error) {
    assert.ok(error instanceof ServiceError && error.code === 'INVALID_ARGUMENT', String(error));
    return null;
  }
}

/** JSON as Python writes it. */
function parse(text: string): unknown {
  return /^-?(NaN|Infinity)$/.test(text) ? Number(text) : JSON.parse(text);
}

describe('a field of oslo.versionedobjects', () => {
  const known = cases.filter((each) => NOT_OURS[each.field] === undefined);
  const fieldOf = (each: RecordedCase): AnyField => FIELDS[each.field] ?? assert.fail(`${each.field} is missing here`);

  it('is refused by us wherever oslo refuses it, unless it is the form on the wire', () => {
    for (const each of known.filter(({ error, input }) => error !== undefined && input !== undefined && !isMarker(input))) {
      const isWireForm = WIRE_FORMS.some(({ fields, inputs }) => fields.test(each.field) && inputs.test(each.input_python));
      assert.equal(roundTrip(fieldOf(each), each.input) === null, !isWireForm, title(each));
    }
  });

  it('is stricter than oslo’s with what oslo writes only in these cases', () => {
    for (const each of known) {
      if (each.primitive_json === undefined) continue;
      const text = each.primitive_json;
      const stricter = STRICTER.some(({ fields, primitives }) => fields.test(each.field) && primitives.test(text));
      assert.equal(roundTrip(fieldOf(each), parse(text)) === null, stricter, title(each));
    }
  });

  it('is read and written again as oslo writes it, but for Python’s own name of an offset, which oslo itself cannot read', () => {
    for (const each of known) {
      if (each.primitive_json === undefined) continue;
      const trip = roundTrip(fieldOf(each), parse(each.primitive_json));
      if (trip !== null) assert.deepEqual(trip.written, parse(each.primitive_json.replace('UTC+02:00', '+02:00')), title(each));
    }
  });

  it('is stricter than oslo’s with what a sloppy writer would send only in these cases', () => {
    for (const each of known) {
      if (each.error !== undefined || each.input === undefined || isMarker(each.input)) continue;
      // A primitive of null stands for null or the default, as the field is declared, before oslo's type is asked.
      if (each.op === 'from_primitive' && each.input === null) continue;
      const sloppy = SLOPPY.some(({ fields, inputs }) => fields.test(each.field) && inputs.test(each.input_python));
      assert.equal(roundTrip(fieldOf(each), each.input) === null, sloppy, title(each));
    }
  });

  it('never makes another value of what it takes than oslo makes of it', () => {
    for (const each of known) {
      if (each.primitive_json === undefined || each.input === undefined || isMarker(each.input)) continue;
      // oslo drops the offset, and so moves the moment; no object of Nova's has such a field, and all write UTC.
      if (each.field === 'DateTimeField(tzinfo_aware=False)' && each.input_python.includes('+')) continue;
      const trip = roundTrip(fieldOf(each), each.input);
      if (trip !== null) assert.deepEqual(trip.written, parse(each.primitive_json), title(each));
    }
  });
});
