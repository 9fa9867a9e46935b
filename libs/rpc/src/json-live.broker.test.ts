/** Python's own json module beside ours: it reads what we write, we read what it writes, and we refuse what it refuses. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { startPythonLines } from '../../../test/servers/python-lines.ts';
import type { PythonLines } from '../../../test/servers/python-lines.ts';
import { fixture } from './fixtures/python-server.ts';
import { jsonText, parseObject } from './json.ts';

const RUNS = 400;
const SEED = 20260701;

const leaf = fc.oneof(
  fc.constantFrom(null, true, false, Number.NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 53)),
  fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }),
  fc.integer(),
  fc.double(),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('\ud83d', 'NaN', '"', '\\', '\u0000', ': 9007199254740993'),
);
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value'), { maxLength: 5 }), fc.dictionary(fc.string({ maxLength: 6 }).filter((key) => key !== '__proto__'), tie('value'), { maxKeys: 5 })),
}));

/** A bigint that a number could hold comes back as one, and -0 may be 0. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (typeof value === 'number') return value + 0;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
  return value;
}

/** Pieces of JSON, and of what is nearly JSON, in any order. */
const nearJson = fc
  .array(fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"', 'NaN', '-', 'Infinity', '-Infinity', '0', '01', '1.5', '1e5', '1e', '.', '9007199254740993', 'true', 'null', ' ', '\n', '\u00a0', '\\u12', "'"), { maxLength: 9 })
  .map((pieces) => `{"v": ${pieces.join('')}}`);

describe('JSON with Python at the other end', function () {
  this.timeout(120_000);
  let python: PythonLines;
  const again = async (text: string): Promise<string | null> => ((await python.ask({ text })) as { readonly again: string } | null)?.again ?? null;

  before(() => {
    python = startPythonLines(fixture('python_json.py'));
  });

  after(() => python?.stop());

  it('is refused where Python refuses it, and read as Python reads it where it does not', async () => {
    const property = fc.asyncProperty(nearJson, async (text) => {
      const theirs = await again(text);
      let ours: unknown;
      try {
        ours = parseObject(text, 'it');
      } catch {
        return assert.equal(theirs, null, text);
      }
      assert.notEqual(theirs, null, text);
      assert.deepEqual(plain(ours), plain(parseObject(theirs ?? '', 'it')), text);
    });
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  });

  it('of any value is read by Python, and read back from what Python writes of it', async () => {
    const property = fc.asyncProperty(anyValue, async (value) => {
      const text = jsonText({ v: value });
      assert.deepEqual(plain(parseObject((await again(text)) ?? assert.fail(text), 'it')['v']), plain(value));
    });
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  });
});
