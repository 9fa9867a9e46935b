/** What Nova's tests say of SPICE consoles, on a host that has them: QEMU's. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';
import { newContext } from '@gatehouse/rpc/context';
import { startWholeHouse, type Answer, type WholeHouse } from './whole-house.ts';

const HOST = 'compute-1';

describe("Nova's SPICE consoles, on QEMU", function () {
  this.timeout(60_000);
  let stateDir = '';
  let house: WholeHouse;
  let server = '';

  before(async () => {
    // Short: the path of a unix socket has at most 107 characters.
    stateDir = mkdtempSync('/tmp/gh-nova-spice-');
    const qemu = { driver: 'qemu', stateDir, qemuAccelerator: 'tcg', qemuMemoryMb: '64', qemuSpice: 'unix' };
    house = await startWholeHouse([HOST], { ...qemu, consoleUrlStyle: 'nova' });
    server = await house.boot(HOST);
  });

  after(async () => {
    // A machine outlives its agent.
    if (server !== '') await house.compute.deleteInstance({ instanceUuid: server, reason: 'instance_deleted' }, newContext(), { server: HOST });
    await house?.stop();
    rmSync(stateDir, { recursive: true, force: true });
  });

  const act = (): Promise<Answer> => house.ask('2.5', 'POST', `/servers/${server}/action`, { 'os-getSPICEConsole': { type: 'spice-html5' } });
  const create = (): Promise<Answer> => house.ask('2.6', 'POST', `/servers/${server}/remote-consoles`, { remote_console: { protocol: 'spice', type: 'spice-html5' } });
  const isLink = (url: unknown): void => assert.match(String(url).replace(house.proxyUrl, ''), /^\/spice_auto\.html\?token=[\w-]{43}$/);

  it('test_get_spice_console: answers type and URL, no more', async () => {
    const { status, body } = await act();
    assert.equal(status, 200, JSON.stringify(body));
    const console = body['console'] as Record<string, unknown>;
    assert.deepEqual([Object.keys(console).sort(), console['type']], [['type', 'url'], 'spice-html5']);
    isLink(console['url']);
  });

  it('test_create_spice_console: answers protocol, type and URL', async () => {
    const { status, body } = await create();
    assert.equal(status, 200, JSON.stringify(body));
    const console = body['remote_console'] as Record<string, unknown>;
    assert.deepEqual([console['protocol'], console['type']], ['spice', 'spice-html5']);
    isLink(console['url']);
  });

  it('test_spicehtml5_spice_console: its page is there, and the openstack command shows the URL', async () => {
    const { body } = await act();
    const page = await fetch((body['console'] as { url: string }).url);
    assert.deepEqual([page.status, /<title>Screen/.test(await page.text())], [200, true]);
    const args = ['--os-auth-type', 'none', '--os-endpoint', `${house.apiUrl}/v2.1`, 'console', 'url', 'show', '--spice', server, '-f', 'value', '-c', 'url'];
    // Nothing of the tester's own cloud settings.
    const { stdout } = await promisify(execFile)('/usr/bin/openstack', args, { env: { PATH: '/usr/bin:/bin', HOME: '/nonexistent', LANG: 'C.UTF-8' }, timeout: 50_000 });
    isLink(stdout.trim());
  });

  it('test_validate_console_port_spice: the host confirms its screen, and no other', async () => {
    const { body } = await act();
    const token = new URL((body['console'] as { url: string }).url).searchParams.get('token');
    const told = await house.ask('2.31', 'GET', `/os-console-auth-tokens/${token}`, undefined, 'admin:demo');
    assert.equal(told.status, 200, JSON.stringify(told.body));
    const connection = { instanceUuid: server, host: HOST, port: 0, consoleType: 'spice-html5' as const, tokenHash: null, accessUrl: null, options: { transport: 'attach' }, expires: null };
    const confirm = (change: object): Promise<boolean> => house.compute.confirmConsole({ connection: { ...connection, ...change } }, newContext(), { server: HOST });
    assert.deepEqual(await Promise.all([confirm({}), confirm({ port: 1 }), confirm({ options: { transport: 'tcp' } })]), [true, false, false]);
  });
});
