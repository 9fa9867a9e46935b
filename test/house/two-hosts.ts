/**
 * Two compute hosts on one machine, as two processes that share an address and a range of ports for their guests' serial
 * consoles, and the services that they need; over a broker and two databases.
 */
import { join } from 'node:path';
import { freePort, freePortRange } from '../servers/free-port.ts';
import { startOwnPostgresql } from '../servers/postgresql.ts';
import type { OwnPostgresql } from '../servers/postgresql.ts';
import { startOwnRabbitmq } from '../servers/rabbitmq.ts';
import type { OwnRabbitmq } from '../servers/rabbitmq.ts';
import { makeTempFolder, removeTempFolder, runCommand } from '../servers/server-process.ts';
import { bundleOf, buildBundles } from './five-processes.ts';
import { ServiceProcess } from './service-process.ts';

export const HOSTS = ['compute-1', 'compute-2'] as const;
export type Host = (typeof HOSTS)[number];

const SERVICES = ['consoleauth', 'console-proxy', 'api'] as const;
const PORTS = 50;

export class TwoHosts {
  readonly apiUrl: string;
  readonly cellDatabaseUrl: string;
  /** The first port of the range, which both hosts want. */
  readonly firstPort: number;
  readonly #env: Readonly<Record<string, string>>;
  readonly #servers: readonly [OwnRabbitmq, OwnPostgresql];
  readonly #folder: string;
  readonly #running = new Map<string, ServiceProcess>();
  readonly #ended: ServiceProcess[] = [];

  private constructor(servers: readonly [OwnRabbitmq, OwnPostgresql], folder: string, env: Readonly<Record<string, string>>) {
    this.#servers = servers;
    this.#folder = folder;
    this.#env = env;
    this.apiUrl = `http://127.0.0.1:${env['GATEHOUSE_API_PORT']}`;
    this.cellDatabaseUrl = env['GATEHOUSE_CELL_DATABASE_URL'] ?? '';
    this.firstPort = Number(env['GATEHOUSE_SERIAL_PORT_RANGE']?.split(':')[0]);
  }

  /** Everything started and ready. */
  static async start(env: Readonly<Record<string, string>> = {}): Promise<TwoHosts> {
    const [rabbitmq, postgresql] = await Promise.all([startOwnRabbitmq(), startOwnPostgresql(), buildBundles()]);
    const [apiPort, proxyPort, start] = [await freePort(), await freePort(), await freePortRange(PORTS)];
    const hosts = new TwoHosts([rabbitmq, postgresql], makeTempFolder('two-hosts'), {
      GATEHOUSE_TRANSPORT_URL: rabbitmq.url,
      GATEHOUSE_API_DATABASE_URL: await postgresql.createDatabase(),
      GATEHOUSE_CELL_DATABASE_URL: await postgresql.createDatabase(),
      GATEHOUSE_API_PORT: String(apiPort),
      GATEHOUSE_PROXY_PORT: String(proxyPort),
      GATEHOUSE_PROXY_BASE_URL: `http://127.0.0.1:${proxyPort}`,
      GATEHOUSE_SIMULATED_TCP: 'true',
      GATEHOUSE_SERIAL_PORT_RANGE: `${start}:${start + PORTS}`,
      ...env,
    });
    await runCommand(process.execPath, [bundleOf('migrate')], { env: { ...hosts.#env } });
    await Promise.all([...SERVICES.map((name) => hosts.#launch(name, {})), ...HOSTS.map((host) => hosts.startHost(host))]);
    return hosts;
  }

  async startHost(host: Host): Promise<void> {
    await this.#launch('compute-agent', { GATEHOUSE_HOST: host }, host);
  }

  /** SIGKILL: its guests are gone, and nobody was told. */
  async killHost(host: Host): Promise<void> {
    const agent = this.#agentOf(host);
    this.#running.delete(host);
    this.#ended.push(agent);
    await agent.kill();
  }

  /** Its agent hangs, and its guests with it, until it is let go on. */
  freezeHost(host: Host): void {
    this.#agentOf(host).freeze();
  }

  thawHost(host: Host): void {
    this.#agentOf(host).thaw();
  }

  /** Everything that all of them logged. */
  get logs(): string {
    return [...this.#ended, ...this.#running.values()].map(({ log }) => log).join('\n');
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map((service) => service.stop()));
    await Promise.all(this.#servers.map((server) => server.stop()));
    removeTempFolder(this.#folder);
  }

  #agentOf(host: Host): ServiceProcess {
    const agent = this.#running.get(host);
    if (agent === undefined) throw new Error(`${host} does not run`);
    return agent;
  }

  async #launch(app: string, env: Readonly<Record<string, string>>, name: string = app): Promise<void> {
    const options = { name, entry: bundleOf(app), opsPort: await freePort(), cwd: this.#folder };
    const service = await ServiceProcess.start({ ...options, env: { ...this.#env, GATEHOUSE_DATA_DIR: join(this.#folder, name), ...env } });
    this.#running.set(name, service);
    await service.awaitReady();
  }
}
