/** What was released is never edited, for peers that have it live on. Each level of each contract is pinned in a file. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import type { FieldKind, Fields } from '@gatehouse/objects/field';
import { wireName } from '@gatehouse/objects/record-codec';
import { compareVersions } from '@gatehouse/objects/object-version';
import { methodsByWireName } from '@gatehouse/rpc/contract';
import type { AnyMethod, Contract } from '@gatehouse/rpc/contract';
import { manifestAt, parseLevel } from '@gatehouse/rpc/level';
import { compute } from './compute.ts';
import { consoleProxy } from './console-proxy.ts';
import { consoleauth } from './consoleauth.ts';

const CONTRACTS: readonly Contract[] = [compute, consoleProxy, consoleauth];

const levelsOf = ({ version }: Contract): readonly string[] => {
  const [major, minor] = parseLevel(version) ?? assert.fail(version);
  return Array.from({ length: minor + 1 }, (_, each) => `${major}.${each}`);
};

/** A contract as peers of one level know it. */
function described(contract: Contract, level: string): object {
  const known = (since: string) => compareVersions(since, level) <= 0;
  const methods = [...methodsByWireName(contract.methods)].filter(([, { method }]) => known(method.since));
  return {
    objects: manifestAt(contract, level),
    methods: Object.fromEntries(methods.map(([wire, { method }]) => [wire, describedMethod(method, known)]).toSorted()),
  };
}

function describedMethod({ kind, idempotent, fields: { args, result } }: AnyMethod, known: (since: string) => boolean): object {
  const entries = Object.entries(args).filter(([, { since }]) => since === undefined || known(since.version));
  return {
    kind,
    idempotent,
    args: Object.fromEntries(entries.map(([name, field]) => [wireName(name), inWords(field)]).toSorted()),
    result: result === null ? null : inWords(result),
  };
}

function inWords(field: Fields[string]): string {
  const words = [typeInWords(field), field.isNullable ? 'or null' : '', field.isOptional ? 'may be absent' : ''];
  return [...words, field.fallback === undefined ? '' : `default ${JSON.stringify(field.fallback)}`].filter((each) => each !== '').join(', ');
}

function typeInWords({ typeName, nested, item, validValues }: FieldKind): string {
  if (item !== undefined) return `${typeName} of ${typeInWords(item)}`;
  if (nested !== undefined) return nested.name;
  return validValues === undefined ? typeName : `one of ${validValues.values.join(' ')}`;
}

describe('the levels of the contracts', () => {
  for (const contract of CONTRACTS) {
    it(`${contract.topic}: the newest has the objects that its methods carry, in the versions of their definitions`, () => {
      const carried = Object.assign({}, ...Object.values(contract.methods).map((method) => method.manifest)) as object;
      const words = `${contract.topic} ${contract.version} must say the versions of its objects: give the contract a new level with those that changed`;
      assert.deepEqual(manifestAt(contract, contract.version), carried, words);
    });

    it(`${contract.topic}: no level takes an object back`, () => {
      const [first = '', ...later] = levelsOf(contract);
      let before = manifestAt(contract, first);
      for (const level of later) {
        const after = manifestAt(contract, level);
        for (const [name, version] of Object.entries(before)) assert.ok(compareVersions(after[name] ?? '0.0', version) >= 0, `${level}: ${name}`);
        before = after;
      }
    });

    for (const level of levelsOf(contract)) {
      it(`${contract.topic} ${level} is what was released`, () => {
        const file = `${contract.topic}-${level}.json`;
        const found = JSON.parse(JSON.stringify(described(contract, level))) as object;
        const url = new URL(`../test-vectors/${file}`, import.meta.url);
        if (!existsSync(url)) assert.fail(`a new level is pinned once: write libs/contracts/test-vectors/${file}\n${JSON.stringify(found, null, 2)}`);
        const words = `${file} was released and never changes: what is new comes with the contract's next minor version (docs/adding-a-field.md)`;
        assert.deepEqual(found, JSON.parse(readFileSync(url, 'utf8')), words);
      });
    }
  }
});
