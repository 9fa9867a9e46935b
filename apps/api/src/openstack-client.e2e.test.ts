import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { RpcServer } from '@gatehouse/rpc/server';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import { reportAgent, serveAgent, serveRevocation, startTestApi } from './test-api.ts';
import type { ComputeHandlers, TestApi } from './test-api.ts';

// Debian's package python3-openstackclient: the client that users of Nova have.
const CLIENT = '/usr/bin/openstack';
// Debian's package python3-novaclient: the older client, as other programs use it.
const NOVA_CLIENT = `
import sys
from keystoneauth1 import noauth, session
from novaclient import client, exceptions
auth = noauth.NoAuth(endpoint=sys.argv[1])
nova = client.Client('2.8', session=session.Session(auth=auth), endpoint_override=sys.argv[1])
server = next(each for each in nova.servers.list() if each.name == sys.argv[2])
try:
    print(nova.servers.get_serial_console(server, 'serial'))
except exceptions.ClientException as error:
    sys.exit(str(error))
`;
// Debian's package python3-nova: what Nova itself lists.
const NOVA_EXTENSIONS = `
import ast, json
path = '/usr/lib/python3/dist-packages/nova/api/openstack/compute/extension_info.py'
with open(path) as source:
    tree = ast.parse(source.read())
lists = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == 'EXTENSION_LIST']
print(json.dumps(ast.literal_eval(lists[0])))
`;
const KEY_FILE = fileURLToPath(new URL('../test-vectors/keys/ed25519.pub', import.meta.url));
const FINGERPRINT = '36:f2:57:ec:d0:de:9a:66:0a:2c:7c:e4:83:b7:db:71';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('the openstack command', function () {
  // Each command starts a Python of its own.
  this.timeout(300_000);
  let api: TestApi;
  let reports: NodeJS.Timeout;
  let agents: RpcServer[] = [];
  /** Of whichever host is asked for a console. */
  let refusal: ServiceError | null = null;

  before(async () => {
    api = await startTestApi(await startPostgresql());
    agents = [await serveAgent(api, 'host-a', actionsOf('host-a'))];
    await serveRevocation(api, []);
    for (const name of ['web', 'db']) await api.ask('POST', '/v2.1/servers', { token: 'notused', body: { server: { name } } });
    agents.push(await serveAgent(api, 'host-b', actionsOf('host-b')));
    // Each command takes longer than an agent may be silent.
    reports = setInterval(() => void Promise.all(['host-a', 'host-b'].map((host) => reportAgent(api, host, new Date()))).catch(() => {}), 5_000);
  });
  after(async () => {
    clearInterval(reports);
    for (const agent of agents) await agent.drain();
    await api?.stop();
  });

  /** Writes the states that a host's agent writes. */
  function actionsOf(host: string): Partial<ComputeHandlers> {
    const write = (uuid: string, vmState: string, taskState: string | null = null) => api.cellDb.instances.update(uuid, { vmState, taskState }, new Date(), host);
    return {
      async stopInstance({ instanceUuid }) {
        const isShelved = (await api.cellDb.instances.get(instanceUuid)).taskState === 'shelving';
        await (isShelved ? write(instanceUuid, 'shelved', 'shelving_offloading') : write(instanceUuid, 'stopped'));
      },
      async startInstance({ instance }) {
        await write(instance.uuid, 'active');
      },
      async rebootInstance({ instance }) {
        await write(instance.uuid, 'active');
      },
      receiveInstance() {},
      consoleOutput: ({ length }) => ['one', 'two', 'three'].slice(length === null ? 0 : -length).join('\n'),
      getConsole({ instanceUuid, consoleType }) {
        if (refusal !== null) throw refusal;
        const accessUrl = `http://127.0.0.1:6080/${consoleType === 'serial' ? 'serial' : 'vnc'}#token=secret-of-${host}`;
        return { instanceUuid, host, port: 0, consoleType, tokenHash: null, accessUrl, options: {}, expires: new Date() };
      },
    };
  }

  const run = (args: readonly string[], auth: readonly string[] = ['--os-auth-type', 'none']): Promise<Outcome> =>
    new Promise((resolve, reject) => {
      const all = [...auth, '--os-endpoint', `${api.url}/v2.1`, ...args];
      // Nothing of the tester's own cloud settings.
      const env = { PATH: process.env['PATH'] ?? '/usr/bin', HOME: '/nonexistent', LANG: 'C.UTF-8' };
      execFile(CLIENT, all, { env, timeout: 60_000 }, (error, stdout, stderr) => {
        if (error !== null && typeof error.code !== 'number') reject(error);
        else resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
    });
  const runNova = (server: string): Promise<Outcome> =>
    new Promise((resolve) => {
      execFile('/usr/bin/python3', ['-c', NOVA_CLIENT, `${api.url}/v2.1`, server], { timeout: 60_000 }, (error, stdout, stderr) => resolve({ code: error === null ? 0 : 1, stdout, stderr }));
    });
  const json = async (...args: readonly string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await run([...args, '-f', 'json']);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as unknown;
  };

  it('is told in words what it asked for in vain', async () => {
    const missing = await run(['keypair', 'show', 'nobody']);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /No Keypair found for nobody/);
    const version = await run(['--os-compute-api-version', '2.1', 'console', 'url', 'show', 'nobody']);
    assert.match(version.stderr, /nobody/);
    const token = await run(['keypair', 'list'], ['--os-auth-type', 'admin_token', '--os-token', 'a:b:c']);
    assert.equal(token.code, 1);
    assert.match(token.stderr, /X-Auth-Token is malformed/);
  });

  it('imports, lists, shows and deletes a key pair', async () => {
    assert.equal((await json('keypair', 'create', '--public-key', KEY_FILE, 'laptop') as { fingerprint: string }).fingerprint, FINGERPRINT);
    assert.deepEqual(await json('keypair', 'list'), [{ Name: 'laptop', Fingerprint: FINGERPRINT, Type: 'ssh' }]);
    const shown = await json('keypair', 'show', 'laptop') as { name: string; type: string; user_id: string };
    assert.deepEqual([shown.name, shown.type, shown.user_id], ['laptop', 'ssh', 'admin']);
    assert.match((await run(['keypair', 'create', '--public-key', KEY_FILE, 'laptop'])).stderr, /Key pair 'laptop' already exists/);
    assert.equal((await run(['keypair', 'delete', 'laptop'])).code, 0);
    assert.deepEqual(await json('keypair', 'list'), []);
  });

  it('pages through key pairs', async () => {
    for (const name of ['a', 'b', 'c']) await run(['keypair', 'create', '--public-key', KEY_FILE, name]);
    const paged = await json('--os-compute-api-version', '2.35', 'keypair', 'list', '--limit', '2') as { Name: string }[];
    assert.deepEqual(paged.map(({ Name }) => Name), ['a', 'b', 'c']);
  });

  it('has an older brother, nova, which imports, makes, lists and deletes key pairs too', async () => {
    const nova = (...args: readonly string[]): Promise<Outcome> =>
      new Promise((resolve) => {
        const env = { PATH: process.env['PATH'] ?? '/usr/bin', HOME: '/nonexistent', LANG: 'C.UTF-8', OS_USERNAME: 'x', OS_PROJECT_NAME: 'y', OS_AUTH_URL: 'http://unused.invalid' };
        const all = ['--os-auth-type', 'admin_token', '--os-token', 'nina:p', '--os-endpoint', `${api.url}/v2.1`, ...args];
        execFile('/usr/bin/nova', all, { env, timeout: 60_000 }, (error, stdout, stderr) => resolve({ code: error === null ? 0 : 1, stdout, stderr }));
      });
    const added = await nova('keypair-add', '--pub-key', KEY_FILE, 'n@one');
    assert.equal(added.code, 0, added.stderr);
    assert.match((await nova('--os-compute-api-version', '2.2', 'keypair-add', '--key-type', 'x509', 'win')).stdout, /^MII[A-Za-z0-9+/]+=*\s*$/);
    assert.match((await nova('keypair-list')).stdout, new RegExp(`n@one +\\| ssh +\\| ${FINGERPRINT}[^]*win +\\| x509`));
    assert.equal((await nova('keypair-delete', 'win')).code, 0);
  });

  it('lists and shows servers', async () => {
    const servers = await json('server', 'list') as { Name: string; Status: string }[];
    assert.deepEqual(servers.map(({ Name, Status }) => `${Name} ${Status}`).sort(), ['db ACTIVE', 'web ACTIVE']);
    const shown = await json('server', 'show', 'web') as { name: string; 'OS-EXT-SRV-ATTR:host': string; project_id: string };
    assert.deepEqual([shown.name, shown['OS-EXT-SRV-ATTR:host'], shown.project_id], ['web', 'host-a', 'default']);
  });

  it('shows console URLs, at new microversions and at old', async () => {
    const url = (...args: readonly string[]): Promise<unknown> => json(...args).then((console) => (console as { url: string }).url);
    assert.equal(await url('console', 'url', 'show', 'web'), 'http://127.0.0.1:6080/vnc#token=secret-of-host-a');
    assert.equal(await url('console', 'url', 'show', '--serial', 'web'), 'http://127.0.0.1:6080/serial#token=secret-of-host-a');
    assert.equal(await url('--os-compute-api-version', '2.5', 'console', 'url', 'show', 'web'), 'http://127.0.0.1:6080/vnc#token=secret-of-host-a');
    assert.match((await run(['console', 'url', 'show', '--xvpvnc', 'web'])).stderr, /Invalid console type xvpvnc/);
  });

  const done = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await run(args);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  };
  const shown = async () => {
    const { status, 'OS-EXT-SRV-ATTR:host': host } = await json('server', 'show', 'web') as { status: string; 'OS-EXT-SRV-ATTR:host': string | null };
    return [status, host];
  };

  it('switches a server off and on and reboots it, and is told why not', async () => {
    assert.match((await run(['server', 'start', 'web'])).stderr, /Cannot 'start' instance .* while it is in vm_state active/);
    await done('server', 'stop', 'web');
    assert.deepEqual(await shown(), ['SHUTOFF', 'host-a']);
    await done('server', 'start', 'web');
    await done('server', 'reboot', '--hard', 'web');
    assert.deepEqual(await shown(), ['ACTIVE', 'host-a']);
  });

  it('moves a server to another host while it runs', async () => {
    await done('--os-compute-api-version', '2.56', 'server', 'migrate', '--live-migration', 'web');
    assert.deepEqual(await shown(), ['ACTIVE', 'host-b']);
  });

  it('shelves a server and unshelves it', async () => {
    await done('server', 'shelve', 'web');
    assert.deepEqual(await shown(), ['SHELVED_OFFLOADED', null]);
    assert.match((await run(['console', 'url', 'show', 'web'])).stderr, /is not ready/);
    await done('server', 'unshelve', 'web');
    assert.equal((await shown())[0], 'ACTIVE');
  });

  it('shows what a console printed, whole and its last lines', async () => {
    assert.equal((await run(['console', 'log', 'show', 'web'])).stdout.trim(), 'one\ntwo\nthree');
    assert.equal((await run(['console', 'log', 'show', '--lines', '2', 'web'])).stdout.trim(), 'two\nthree');
  });

  it('tells a conflict that Nova does not know in its words, the other client of Nova too', async () => {
    refusal = new ServiceError('NO_PORT_FREE', 'all serial ports are in use since noon');
    const told = await run(['console', 'url', 'show', '--serial', 'web']);
    const nova = await runNova('web');
    refusal = null;
    assert.match(told.stderr, /all serial ports are in use since noon/);
    assert.match(nova.stderr, /all serial ports are in use since noon \(HTTP 409\)/);
    const url = await runNova('web');
    assert.match(url.stdout, /secret-of-host-/, url.stderr);
  });

  it('lists the extensions that are here, each as Nova has it', async () => {
    const listed = await json('extension', 'list', '--compute', '--long') as { Name: string; Alias: string; Description: string }[];
    assert.ok(listed.some(({ Name, Alias }) => Name === 'Keypairs' && Alias === 'os-keypairs'));
    const { extensions } = (await api.ask('GET', '/v2.1/extensions')).json as { extensions: { alias: string }[] };
    assert.deepEqual(listed.map(({ Alias }) => Alias), extensions.map(({ alias }) => alias));
    const novas = JSON.parse(await new Promise<string>((resolve, reject) => {
      execFile('/usr/bin/python3', ['-c', NOVA_EXTENSIONS], { timeout: 60_000 }, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
    })) as { alias: string }[];
    assert.deepEqual(extensions, novas.filter(({ alias }) => extensions.some((each) => each.alias === alias)));
    for (const extension of extensions) assert.deepEqual((await api.ask('GET', `/v2.1/extensions/${extension.alias}`)).json, { extension });
    const none = await api.ask('GET', '/v2.1/extensions/os-cells');
    assert.deepEqual([none.status, none.json], [404, { itemNotFound: { code: 404, message: 'The resource could not be found.' } }]);
  });

  it('shows the limits that are here', async () => {
    const listed = await json('limits', 'show', '--absolute') as { Name: string; Value: number }[];
    const limits = Object.fromEntries(listed.map(({ Name, Value }) => [Name, Value]));
    assert.deepEqual(limits, { maxServerMeta: 128, maxPersonality: 5, maxPersonalitySize: 10_240, maxTotalKeypairs: 100 });
  });

  it('deletes a server', async () => {
    assert.equal((await run(['server', 'delete', 'db'])).code, 0);
    const servers = await json('server', 'list') as { Name: string }[];
    assert.deepEqual(servers.map(({ Name }) => Name), ['web']);
  });
});
