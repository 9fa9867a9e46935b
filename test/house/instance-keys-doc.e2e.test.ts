/** docs/instance-keys.md, and what the README says of other keys for a running machine and of what it reads, run as their reader would: beside `npm start`. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTempFolder, removeTempFolder } from '../servers/server-process.ts';
import { Shell, shellBlocks } from './shell.ts';
import { StandaloneProcess } from './standalone-process.ts';

const pageOf = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const API = 'http://127.0.0.1:8774';

interface Carried {
  readonly keypairs: readonly { readonly name: string; readonly algorithm: string }[];
  readonly source: string;
}

describe('the page about keys of an instance', function () {
  this.timeout(180_000);
  let house: StandaloneProcess;
  let folder = '';
  const shells: Shell[] = [];

  before(async () => {
    folder = makeTempFolder('keys-page');
    house = await StandaloneProcess.start();
  });
  after(async () => {
    for (const shell of shells) shell.stop();
    await house?.stop();
    if (folder !== '') removeTempFolder(folder);
  });

  function shell(): Shell {
    const opened = new Shell({ cwd: folder, env: { HOME: folder } });
    shells.push(opened);
    return opened;
  }
  const namesOf = (text: string): readonly string[] => (JSON.parse(text) as Carried).keypairs.map(({ name }) => name);

  it('tells commands that do what it says', async () => {
    const [setting = '', put = '', show = '', refused = '', options = '', network = '', ...more] = shellBlocks(pageOf('docs/instance-keys.md'));
    assert.deepEqual(more, []);
    const bash = shell();
    const run = (block: string): Promise<string> => bash.run(block.replaceAll(API, house.apiUrl));
    assert.match(await run(setting), /"name":"desk".*"name":"laptop"/s);
    assert.deepEqual(namesOf(await run(put)), ['laptop', 'desk']);
    const [head = '', body = ''] = (await run(show)).split('\r\n\r\n');
    assert.match(head, /^etag: "\d+"$/im);
    assert.deepEqual([namesOf(body), (JSON.parse(body) as Carried).source], [['laptop', 'desk'], 'instance_extra']);
    assert.equal((JSON.parse(await run(refused)) as { status: number }).status, 412);
    assert.deepEqual(JSON.parse(await run(options)), { tokens: 'required' });
    const { fixed_addresses: fixed, network_data: data } = JSON.parse(await run(network)) as { fixed_addresses: unknown; network_data: { links: { id: string }[] } };
    assert.deepEqual([fixed, data.links[0]?.id], [['10.0.0.5'], 'tap1']);
  });

  it('and the README: one command gives a running machine another key', async () => {
    mkdirSync(join(folder, '.ssh'));
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, '.ssh/id_ed25519')]);
    const block = shellBlocks(pageOf('README.md')).find((each) => each.includes('/keypairs')) ?? assert.fail('the README has no such example');
    const bash = shell();
    const servers = JSON.parse(await bash.run(`curl -s -H 'X-Auth-Token: demo:demo' ${house.apiUrl}/v2.1/servers`)) as { servers: { id: string }[] };
    await bash.run(`api=${house.apiUrl}/v2.1\nid=${servers.servers[1]?.id ?? ''}`);
    const printed = await bash.run(block.replaceAll(API, house.apiUrl));
    assert.deepEqual(namesOf(printed.slice(printed.indexOf('{"keypairs"'))), ['mine']);
    const reading = shellBlocks(pageOf('README.md')).find((each) => each.includes('meta_data.json')) ?? assert.fail('the README does not say how a machine reads');
    const told = await bash.run(reading.replaceAll('http://127.0.0.1:8775', house.metadataUrl).replaceAll('.gatehouse/', `${house.dataDir}/`));
    assert.deepEqual(Object.keys((JSON.parse(told) as { public_keys: object }).public_keys), ['mine']);
  });
});
