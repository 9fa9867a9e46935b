import assert from 'node:assert/strict';
import type { AnyDefinition } from './define-object.ts';
import { descriptionOf, recordedFingerprints } from './fixtures/recorded-fingerprints.ts';
import { ConsoleConnection, ConsoleConnectionList, ConsoleSession, SubThing, Thing } from './fixtures/stand-ins.ts';
import { fingerprint, fingerprintInput, fingerprintOf } from './fingerprint.ts';
import { KeyPair } from './key-pair.ts';
import { KeyPairList } from './key-pair-list.ts';
import { pyFloat, pyTuple, pythonRepr, pythonStr } from './python-repr.ts';
import type { PyValue } from './python-repr.ts';
import { pythonSignature } from './python-signature.ts';

describe("an object's fingerprint", () => {
  it("is oslo's for every object on record", () => {
    const recorded = recordedFingerprints();
    assert.ok(recorded.length >= 15, 'the recordings are there');
    for (const each of recorded) {
      assert.equal(fingerprintInput(descriptionOf(each)), each.md5_input, each.object);
      assert.equal(fingerprint(descriptionOf(each)), each.fingerprint, each.object);
    }
  });

  it("is oslo's for the objects on record that are defined here as well", () => {
    const recorded = new Map(recordedFingerprints().map((each) => [each.object, each.fingerprint]));
    const definitions = [KeyPair, KeyPairList, ConsoleConnection, ConsoleConnectionList, ConsoleSession, Thing, SubThing] as AnyDefinition[];
    assert.deepEqual(definitions.map((each) => [each.name, fingerprintOf(each)]), definitions.map(({ name }) => [name, recorded.get(name)]));
  });

  it('moves with a type, a null, a default, a word, a method and a version of the children', () => {
    const base = { version: '1.0', fields: { a: { type: 'Integer', nullable: false } }, methods: ['get(cls, context)'] };
    const others = [
      { ...base, fields: { a: { type: 'Float', nullable: false } } },
      { ...base, fields: { a: { type: 'Integer', nullable: true } } },
      { ...base, fields: { a: { type: 'Integer', nullable: false, default: '0' } } },
      { ...base, fields: { a: { type: 'Integer', nullable: false, validValues: "('a',)" } } },
      { ...base, fields: { ...base.fields, b: { type: 'Integer', nullable: false } } },
      { ...base, methods: ['get(cls, context, id)'] },
      { ...base, childVersions: {} },
      { ...base, childVersions: { '1.0': '1.0' } },
    ];
    assert.equal(new Set([base, ...others].map(fingerprint)).size, others.length + 1);
  });

  it('does not move with the order in which things are declared', () => {
    const [one, two] = [{ type: 'Integer', nullable: false }, { type: 'String', nullable: true }];
    const methods = ['create(self)', 'get(cls, context)'];
    assert.equal(
      fingerprint({ version: '1.0', fields: { a: one, b: two }, methods }),
      fingerprint({ version: '1.0', fields: { b: two, a: one }, methods: methods.toReversed() }),
    );
  });
});

describe("a Python method's signature", () => {
  const printed = (line: string): string => pythonSignature(line).spec;

  it('is refused where it is none', () => {
    for (const each of ['', 'get', 'get(', 'get(self, 1)', 'get(self, ***x)', 'a b(self)']) assert.throws(() => pythonSignature(each), /INVALID_ARGUMENT|expected a signature|is no parameter/, each);
  });

  it('is printed as getargspec printed it', () => {
    assert.equal(printed('create(self)'), "ArgSpec(args=['self'], varargs=None, keywords=None, defaults=None)");
    assert.equal(printed("f(cls, a, b=None, c=('x', {'y': 1}), *args, **kwargs)"), "ArgSpec(args=['cls', 'a', 'b', 'c'], varargs='args', keywords='kwargs', defaults=(None, ('x', {'y': 1})))");
    assert.equal(printed("f(self, sep=',=(')"), "ArgSpec(args=['self', 'sep'], varargs=None, keywords=None, defaults=(',=(',))");
    assert.equal(printed('f(self, a, /, b)'), "ArgSpec(args=['self', 'a', 'b'], varargs=None, keywords=None, defaults=None)");
  });

  it('is printed as getfullargspec prints it where something is keyword-only or annotated', () => {
    assert.equal(
      printed("f(cls, context: str, a: 'int' = 1, *args, b, c=None, **kw) -> bool"),
      "FullArgSpec(args=['cls', 'context', 'a'], varargs='args', varkw='kw', defaults=(1,), kwonlyargs=['b', 'c'], kwonlydefaults={'c': None}, annotations={'return': <class 'bool'>, 'context': <class 'str'>, 'a': 'int'})",
    );
    assert.equal(printed('f(self, *, x)'), "FullArgSpec(args=['self'], varargs=None, varkw=None, defaults=None, kwonlyargs=['x'], kwonlydefaults=None, annotations={})");
    assert.equal(printed('f(self) -> None'), "FullArgSpec(args=['self'], varargs=None, varkw=None, defaults=None, kwonlyargs=[], kwonlydefaults=None, annotations={'return': None})");
  });
});

describe('a value in Python', () => {
  const cases: readonly (readonly [PyValue, string])[] = [
    [null, 'None'],
    [true, 'True'],
    [12, '12'],
    [2n ** 70n, '1180591620717411303424'],
    [pyFloat(1), '1.0'],
    [pyFloat(-0), '-0.0'],
    [pyFloat(0.5), '0.5'],
    [pyFloat(1e15), '1000000000000000.0'],
    [pyFloat(1e16), '1e+16'],
    [pyFloat(1.5e22), '1.5e+22'],
    [pyFloat(0.0001), '0.0001'],
    [pyFloat(0.00001), '1e-05'],
    [pyFloat(Infinity), 'inf'],
    [pyFloat(NaN), 'nan'],
    ["it's", '"it\'s"'],
    ['\'"', `'\\'"'`],
    ['é\n\\', "'é\\n\\\\'"],
    ['\u0000\u00a0\u2028\u{e0001}', "'\\x00\\xa0\\u2028\\U000e0001'"],
    [['a', 1], "['a', 1]"],
    [pyTuple('a'), "('a',)"],
    [pyTuple('a', 'b'), "('a', 'b')"],
    [pyTuple(), '()'],
    [new Map<string, PyValue>([['a', pyFloat(2)]]), "{'a': 2.0}"],
    [new Set([1, 2]), '{1, 2}'],
    [new Set<number>(), 'set()'],
    [new Date('2026-07-01T12:30:00Z'), 'datetime.datetime(2026, 7, 1, 12, 30, tzinfo=datetime.timezone.utc)'],
  ];

  it('is printed as repr() prints it', () => {
    for (const [value, text] of cases) assert.equal(pythonRepr(value), text);
  });

  it('is printed as str() prints it: a text without quotes', () => {
    assert.equal(pythonStr("it's"), "it's");
    assert.equal(pythonStr(['a']), "['a']");
    assert.equal(pythonStr(new Date('2026-07-01T12:30:00Z')), '2026-07-01 12:30:00+00:00');
  });
});
