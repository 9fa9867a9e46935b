import assert from 'node:assert/strict';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { ComputeClient } from './compute-client.ts';
import { RFB_GREETING } from './console-socket.ts';
import { StandaloneProcess } from './standalone-process.ts';

describe("console URLs in Nova's shapes", function () {
  this.timeout(180_000);
  let standalone: StandaloneProcess;

  before(async () => {
    standalone = await StandaloneProcess.start({ GATEHOUSE_CONSOLE_URL_STYLE: 'nova' });
  });

  after(() => standalone?.stop());

  async function ask(protocol: 'vnc' | 'serial'): Promise<URL> {
    const compute = new ComputeClient(standalone.apiUrl);
    const [server] = await compute.listServers();
    return new URL(await compute.consoleUrl(server?.id ?? assert.fail('no demo instance'), protocol));
  }

  async function firstBytes(url: string): Promise<string> {
    const socket = new WebSocket(url, ['binary']);
    try {
      const [data] = (await once(socket, 'message', { signal: AbortSignal.timeout(30_000) })) as [Buffer];
      return data.toString('latin1');
    } finally {
      socket.terminate();
    }
  }

  it('are dialled by a serial client as they stand', async () => {
    const url = await ask('serial');
    assert.match(url.href, /^ws:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{43}$/);
    assert.notEqual(await firstBytes(url.href), '');
  });

  it("open the VNC page under noVNC's name, whose path is the WebSocket's", async () => {
    const url = await ask('vnc');
    assert.match(url.href, /^http:\/\/127\.0\.0\.1:\d+\/vnc_auto\.html\?path=%3Ftoken%3D[\w-]{43}$/);
    const page = await fetch(url);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /vnc/i);
    // As noVNC's page does.
    assert.match(await firstBytes(`ws://${url.host}/${url.searchParams.get('path')}`), RFB_GREETING);
  });
});
