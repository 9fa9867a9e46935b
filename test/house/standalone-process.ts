/** `npm start` as a person gets it: the real command on free ports, its terminal read for the URLs it prints. */
import { join } from 'node:path';
import { freePort } from '../servers/free-port.ts';
import { makeTempFolder, removeTempFolder, startServer } from '../servers/server-process.ts';
import type { ServerProcess } from '../servers/server-process.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const OUTPUT_CHARS_MAX = 2_000_000;

export class StandaloneProcess {
  readonly apiUrl: string;
  readonly metadataUrl: string;
  readonly #server: ServerProcess;
  readonly #folder: string;

  private constructor(server: ServerProcess, folder: string, ports: { readonly api: number; readonly metadata: number }) {
    this.#server = server;
    this.#folder = folder;
    this.apiUrl = `http://127.0.0.1:${ports.api}`;
    this.metadataUrl = `http://127.0.0.1:${ports.metadata}`;
  }

  /** Resolves at the line that begins with `ready`. */
  static async start(env: Record<string, string> = {}): Promise<StandaloneProcess> {
    const folder = makeTempFolder('standalone');
    const [api, proxy, metadata, ops] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
    const server = await startServer({
      name: 'standalone',
      command: process.execPath,
      args: [join(ROOT, 'tools/start.mjs')],
      cwd: ROOT,
      env: {
        GATEHOUSE_DATA_DIR: join(folder, 'data'),
        GATEHOUSE_API_PORT: String(api),
        GATEHOUSE_PROXY_PORT: String(proxy),
        GATEHOUSE_METADATA_PORT: String(metadata),
        GATEHOUSE_OPS_PORT: String(ops),
        ...env,
      },
      isReady: async (starting) => /^ready/m.test(starting.output()),
      readyTimeoutMs: 120_000,
      outputCharsMax: OUTPUT_CHARS_MAX,
      hasTerminal: true,
    });
    return new StandaloneProcess(server, folder, { api, metadata });
  }

  get dataDir(): string {
    return join(this.#folder, 'data');
  }

  get output(): string {
    return this.#server.output();
  }

  /** The URLs printed for one kind of console, in the order of the instances' names. */
  printedUrls(kind: 'vnc' | 'serial'): readonly string[] {
    return [...this.output.matchAll(new RegExp(`^\\s+\\S+\\s+${kind}\\s+(http\\S+)$`, 'gm'))].map((match) => match[1] ?? '');
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    removeTempFolder(this.#folder);
  }
}
