/** Every object that Nova registers, described in our kinds of fields: what Nova writes of it is what we write of it. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { startPythonLines } from '../../../test/servers/python-lines.ts';
import type { PythonLines } from '../../../test/servers/python-lines.ts';
import type { JsonObject } from './field.ts';
import { novaDefinitions } from './fixtures/nova-definitions.ts';
import type { NovaDefinition, OurNova } from './fixtures/nova-definitions.ts';

const ROUNDS = 6;
/** These hold objects of any of several classes; an object of ours is data and has no subclasses. */
const LEFT = ['DeviceMetadata.bus', 'DiskMetadata.bus', 'InstanceDeviceMetadata.devices', 'NetworkInterfaceMetadata.bus', 'Resource.metadata'];

/** Without the order that sets, and so `changes`, do not have; texts of JSON as what they say. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable).toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (typeof value === 'string' && /^[[{]/.test(value)) return { json: JSON.parse(value) as unknown };
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, comparable(each)]));
}

describe("every object of Nova's", function () {
  this.timeout(120_000);
  let python: PythonLines;
  let nova: OurNova;

  before(async () => {
    python = startPythonLines(fileURLToPath(new URL('fixtures/python_objects.py', import.meta.url)));
    nova = novaDefinitions((await python.ask({ do: 'definitions' })) as Readonly<Record<string, NovaDefinition>>);
  });

  after(() => python?.stop());

  it('has fields of our kinds, but for those of several classes', () => {
    assert.ok(nova.definitions.size > 100);
    assert.deepEqual(nova.left.toSorted(), LEFT);
  });

  it('is read, and written again as Nova wrote it: whole, partly loaded, with values from the edges', async () => {
    for (const [name, definition] of nova.definitions) {
      for (let round = 0; round < ROUNDS; round += 1) {
        const written = JSON.parse((await python.ask({ do: 'sample', name, round })) as string) as JsonObject;
        assert.deepEqual(comparable(definition.toPrimitive(definition.fromPrimitive(written) as never)), comparable(written), `${name}, round ${round}`);
      }
    }
  });
});
