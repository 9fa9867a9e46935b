/** The five services as processes of their own, from their bundles, over a broker and two databases: started, killed and started again one by one. */
import { join } from 'node:path';
import { freePort } from '../servers/free-port.ts';
import { makeTempFolder, removeTempFolder, runCommand } from '../servers/server-process.ts';
import { isReadyAt, ServiceProcess } from './service-process.ts';

export const SERVICES = ['api', 'consoleauth', 'compute-agent', 'console-proxy', 'metadata'] as const;
export type ServiceName = (typeof SERVICES)[number];

const ROOT = new URL('../../', import.meta.url).pathname;

export interface Sources {
  readonly transportUrl: string;
  readonly apiDatabaseUrl: string;
  readonly cellDatabaseUrl: string;
}

export class FiveProcesses {
  readonly apiUrl: string;
  readonly metadataUrl: string;
  readonly proxyUrl: string;
  readonly #env: Record<string, string>;
  readonly #opsPorts: Map<string, number>;
  readonly #running = new Map<string, ServiceProcess>();
  readonly #ended: ServiceProcess[] = [];
  readonly #folder: string;

  private constructor(sources: Sources, ports: readonly number[], opsPorts: Map<string, number>, env: Record<string, string>) {
    const [api, proxy, metadata] = ports;
    this.#folder = makeTempFolder('stack');
    this.apiUrl = `http://127.0.0.1:${api}`;
    this.proxyUrl = `http://127.0.0.1:${proxy}`;
    this.metadataUrl = `http://127.0.0.1:${metadata}`;
    this.#opsPorts = opsPorts;
    this.#env = {
      GATEHOUSE_TRANSPORT_URL: sources.transportUrl,
      GATEHOUSE_API_DATABASE_URL: sources.apiDatabaseUrl,
      GATEHOUSE_CELL_DATABASE_URL: sources.cellDatabaseUrl,
      GATEHOUSE_API_PORT: String(api),
      GATEHOUSE_PROXY_PORT: String(proxy),
      GATEHOUSE_METADATA_PORT: String(metadata),
      GATEHOUSE_PROXY_BASE_URL: this.proxyUrl,
      GATEHOUSE_METADATA_SECRETS: 'a-secret-of-the-test',
      GATEHOUSE_HOST: 'compute-1',
      GATEHOUSE_PROXY_NAME: 'proxy-1',
      GATEHOUSE_DATA_DIR: this.#folder,
      ...env,
    };
  }

  static async prepare(sources: Sources, env: Record<string, string> = {}): Promise<FiveProcesses> {
    const ports = await Promise.all([freePort(), freePort(), freePort()]);
    const opsPorts = new Map<string, number>(await Promise.all(SERVICES.map(async (name) => [name, await freePort()] as const)));
    return new FiveProcesses(sources, ports, opsPorts, env);
  }

  /** Resolves when the process lives (/healthz), whether or not what it needs is there. */
  start(name: ServiceName): Promise<void> {
    return this.startBeside(name, name);
  }

  /** Another process of a service, called `label` here; `env` is what it does not share with the first. */
  async startBeside(label: string, service: ServiceName, env: Record<string, string> = {}): Promise<void> {
    const opsPort = this.#opsPorts.get(label) ?? (await freePort());
    this.#opsPorts.set(label, opsPort);
    const server = await ServiceProcess.start({ name: label, entry: bundleOf(service), env: { ...this.#env, ...env }, opsPort, cwd: this.#folder });
    this.#running.set(label, server);
  }

  async kill(name: string): Promise<void> {
    const server = this.#take(name);
    await server.kill();
  }

  /** SIGTERM. */
  async stop(name: string): Promise<void> {
    await this.#take(name).stop();
  }

  /** Asks its port, also when nobody should be there any more. */
  isReady(name: string): Promise<boolean> {
    return isReadyAt(this.#opsPorts.get(name) ?? 0);
  }

  async awaitReady(names: readonly string[] = SERVICES, timeoutMs = 60_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (const name of names) {
      while (!(await this.isReady(name))) {
        if (Date.now() > deadline) throw new Error(`${name} is not ready\n${this.logs.slice(-4_000)}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** Everything that all of them logged. */
  get logs(): string {
    return [...this.#ended, ...this.#running.values()].map((server) => server.log).join('\n');
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((name) => this.stop(name)));
    removeTempFolder(this.#folder);
  }

  #take(name: string): ServiceProcess {
    const server = this.#running.get(name);
    if (server === undefined) throw new Error(`${name} does not run`);
    this.#running.delete(name);
    this.#ended.push(server);
    return server;
  }
}

/** What node runs of a service, or of `migrate`, once buildBundles has made it. */
export function bundleOf(name: string): string {
  return join(ROOT, 'dist', name, 'main.js');
}

/** One bundle an app in dist/; about as long as it takes to read the sources. */
export async function buildBundles(): Promise<void> {
  await runCommand(process.execPath, [join(ROOT, 'tools/build.mjs')], { cwd: ROOT, timeoutMs: 120_000 });
}
