/** Holds docs/nova-consoles.md and docs/nova-metadata.md whole: every test of theirs in the files of Nova that they name, as Debian installs them, has its row. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readNovaTable } from './nova-table.ts';

const PYTHON = '/usr/lib/python3/dist-packages';
/** Files that are about more than consoles: which of their tests are meant, and within which class. */
const PARTS: Readonly<Record<string, { readonly names: RegExp; readonly className?: RegExp }>> = {
  'nova/tests/unit/db/main/test_api.py': { names: /./, className: /^ConsoleAuthTokenTestCase$/ },
  'nova/tests/unit/compute/test_compute.py': { names: /console/ },
  'nova/tests/unit/compute/test_compute_mgr.py': { names: /console|^test_post_live_migration_update_host$/ },
  'nova/tests/unit/compute/test_rpcapi.py': { names: /console/ },
  'nova/tests/unit/virt/test_hardware.py': { names: /./, className: /^NumberOfSerialPortsTest$/ },
  'nova/tests/unit/virt/test_virt_drivers.py': { names: /console/ },
  'nova/tests/unit/virt/libvirt/test_driver.py': { names: /console|serial_(port|adds)|_(vnc|spice)(_|$)/ },
  'nova/tests/unit/virt/libvirt/test_migration.py': { names: /serial|listen_addrs_/ },
};

/** @returns the names of the tests in a file of Nova's that the document should have */
function testsOf(file: string): ReadonlySet<string> {
  const { names, className = /./ } = PARTS[file] ?? { names: /./ };
  const found = new Set<string>();
  let inside = '';
  for (const line of readFileSync(join(PYTHON, file), 'utf8').split('\n')) {
    inside = /^class (\w+)/.exec(line)?.[1] ?? inside;
    const name = /^ {4}def (test_\w+)\(/.exec(line)?.[1];
    if (name !== undefined && names.test(name) && className.test(inside)) found.add(name);
  }
  return found;
}

for (const [what, document, filesMin] of [['console', 'nova-consoles.md', 20], ['metadata', 'nova-metadata.md', 2]] as const) {
  describe(`Nova's ${what} tests, as installed`, () => {
    const rows = readNovaTable(document);
    const files = [...new Set(rows.map(({ section }) => section))].filter((section) => section.startsWith('nova/') && existsSync(join(PYTHON, section)));

    it('are there to be compared', () => {
      assert.ok(files.length >= filesMin, files.join('\n'));
    });

    for (const file of files) {
      it(`are all in the table: ${file}`, () => {
        const named = new Set(rows.filter(({ section }) => section === file).flatMap(({ names }) => names));
        assert.deepEqual([...testsOf(file)].filter((name) => !named.has(name)), [], 'without a row');
        assert.deepEqual([...named].filter((name) => !testsOf(file).has(name)), [], 'rows of what is not there');
      });
    }
  });
}
