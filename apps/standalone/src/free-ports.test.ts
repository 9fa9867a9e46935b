import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../test/servers/free-port.ts';
import { claimPorts } from './free-ports.ts';
import { keptSecret } from './kept-secret.ts';

describe('claiming ports', () => {
  it('fails on a taken port with its number, and on a port named twice with both variables', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    await assert.rejects(claimPorts('127.0.0.1', { apiPort: 0, proxyPort: port }), { code: 'EADDRINUSE', port });
    taken.close();
    const twice = await freePort();
    await assert.rejects(claimPorts('127.0.0.1', { apiPort: twice, proxyPort: 0, opsPort: twice }),
      { message: `GATEHOUSE_API_PORT and GATEHOUSE_OPS_PORT are both ${twice}: set them to different ports` });
  });

  it('picks a free port for each 0', async () => {
    const ports = await claimPorts('127.0.0.1', { apiPort: 0, opsPort: 0 });
    assert.ok(ports.apiPort > 0 && ports.opsPort > 0);
  });
});

describe('a kept secret', () => {
  let folder = '';
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'gatehouse-secret-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is refused when its file is empty', () => {
    writeFileSync(join(folder, 's'), '');
    assert.throws(() => keptSecret(join(folder, 's')), /holds no secret/);
  });

  it('is made once, and only its owner can read it', () => {
    const path = join(folder, 's');
    const secret = keptSecret(path);
    assert.match(secret, /^[0-9a-f]{64}$/);
    assert.equal(keptSecret(path), secret);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(readFileSync(path, 'utf8'), `${secret}\n`);
  });
});
