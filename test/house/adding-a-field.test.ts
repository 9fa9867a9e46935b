/** docs/adding-a-field.md is followed by hand, so what it shows must be what there is. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineObject } from '@gatehouse/objects/define-object';
import { integer } from '@gatehouse/objects/fields';
import { KNOWN_VARIABLES } from '@gatehouse/runtime/variables';

const ROOT = new URL('../../', import.meta.url);
const page = readFileSync(new URL('docs/adding-a-field.md', ROOT), 'utf8');
const [, ...fenced] = page.split(/^```(?=\w)/m);
const blocks = fenced.map((each) => (each.split(/^```$/m)[0] ?? '').split('\n').slice(1, -1));

const Lease = defineObject('Lease', '1.1', { leaseMs: integer({ min: 0 }) }, {
  backward(data) {
    data['lease_seconds'] = Math.ceil(Number(data['lease_ms']) / 1_000);
    delete data['lease_ms'];
  },
  forward(data) {
    data['lease_ms'] = Number(data['lease_seconds']) * 1_000;
  },
});

describe('the recipe for adding a field', () => {
  it('names files that are there', () => {
    const paths = page.match(/\b(?:apps|libs|test|tools|prisma|docs)\/[\w./-]+\.\w+/g) ?? [];
    assert.ok(paths.length > 15);
    for (const path of paths) assert.ok(existsSync(fileURLToPath(new URL(path, ROOT))), path);
  });

  it('names settings that are there', () => {
    for (const variable of page.match(/GATEHOUSE_\w+/g) ?? []) assert.ok(KNOWN_VARIABLES.has(variable), variable);
  });

  it('shows code that stands in the file it names', () => {
    assert.ok(blocks.length >= 6);
    for (const [head = '', ...lines] of blocks) {
      const path = /^\/\/ (\S+)$/.exec(head)?.[1] ?? assert.fail(`a block must name its file: ${head}`);
      assert.ok(readFileSync(new URL(path, ROOT), 'utf8').includes(`${lines.join('\n')}\n`), `${path} has not, line by line:\n${lines.join('\n')}`);
    }
  });

  it('shows a hook that works both ways', () => {
    const old = { ...Lease.toPrimitive({ leaseMs: 1_500 }, { version: '1.0' }) };
    assert.deepEqual(old['nova_object.data'], { lease_seconds: 2 });
    assert.deepEqual(Lease.fromPrimitive(old), { leaseMs: 2_000 });
    assert.deepEqual(Lease.fromPrimitive(Lease.toPrimitive({ leaseMs: 1_500 })), { leaseMs: 1_500 });
  });
});
