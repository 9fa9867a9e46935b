/**
 * A fleet in the middle of an upgrade: each service runs released code, or today's, or for a moment both at once.
 * The api and the console proxy stand behind balancers; each of the hosts has a compute agent of its own.
 */
import { join } from 'node:path';
import { freePort } from '../servers/free-port.ts';
import { makeTempFolder, removeTempFolder, runCommand } from '../servers/server-process.ts';
import { Balancer } from './balancer.ts';
import { bundleOf } from './five-processes.ts';
import type { Sources } from './five-processes.ts';
import { releasedServices } from './released.ts';
import { ServiceProcess } from './service-process.ts';

export type Generation = 'old' | 'new';

/** Services of which several processes run side by side, any of which answers. */
export const SHARED_SERVICES = ['api', 'consoleauth', 'console-proxy'] as const;
export type SharedService = (typeof SHARED_SERVICES)[number];

export const HOSTS = ['compute-1', 'compute-2'] as const;
export type Host = (typeof HOSTS)[number];

interface Member {
  readonly name: string;
  readonly process: ServiceProcess;
  readonly port: number;
}

export class Fleet {
  readonly #level: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #folder: string;
  readonly #balancers: Readonly<Partial<Record<SharedService, Balancer>>>;
  readonly #agentPorts: ReadonlyMap<Host, number>;
  readonly #members = new Map<SharedService | Host, Member>();
  readonly #all: Member[] = [];
  readonly #comings = new Map<Host, number>();

  private constructor(level: string, sources: Sources, api: Balancer, proxy: Balancer, agentPorts: ReadonlyMap<Host, number>) {
    this.#level = level;
    this.#folder = makeTempFolder('fleet');
    this.#balancers = { api, 'console-proxy': proxy };
    this.#agentPorts = agentPorts;
    this.#env = {
      GATEHOUSE_TRANSPORT_URL: sources.transportUrl,
      GATEHOUSE_API_DATABASE_URL: sources.apiDatabaseUrl,
      GATEHOUSE_CELL_DATABASE_URL: sources.cellDatabaseUrl,
      GATEHOUSE_PROXY_BASE_URL: proxy.url,
      GATEHOUSE_DATA_DIR: this.#folder,
    };
  }

  /** `level`: which release the old services are. */
  static async prepare(level: string, sources: Sources): Promise<Fleet> {
    const ports = new Map(await Promise.all(HOSTS.map(async (host) => [host, await freePort()] as const)));
    return new Fleet(level, sources, await Balancer.listen(), await Balancer.listen(), ports);
  }

  get apiUrl(): string {
    return this.#balancers.api?.url ?? '';
  }

  async migrate(generation: Generation): Promise<void> {
    await runCommand(process.execPath, [this.#entry('migrate', generation)], { env: this.#env });
  }

  /** Starts a process of the service beside the one that runs, if any, and takes it into service. @returns what retires the other */
  async start(service: SharedService, generation: Generation, env: Readonly<Record<string, string>> = {}): Promise<() => Promise<void>> {
    const port = await freePort();
    const before = this.#members.get(service);
    const member = await this.#launch(service, `${service}-${generation}-${port}`, generation, {
      GATEHOUSE_API_PORT: String(port),
      GATEHOUSE_PROXY_PORT: String(port),
      GATEHOUSE_PROXY_NAME: `proxy-${port}`,
      GATEHOUSE_CONSOLEAUTH_NAME: `consoleauth-${port}`,
      ...env,
    }, port);
    await member.process.awaitReady();
    this.#balancers[service]?.add(port);
    this.#members.set(service, member);
    return async () => {
      if (before === undefined) return;
      await this.#balancers[service]?.drain(before.port);
      await before.process.stop();
    };
  }

  /** Ends the host's agent, if one runs, and starts another at the same address: one host has one agent at a time. */
  async restartAgent(host: Host, generation: Generation): Promise<void> {
    const endpoint = `127.0.0.1:${this.#agentPorts.get(host)}`;
    this.#comings.set(host, this.comings(host) + 1);
    await this.#members.get(host)?.process.stop();
    const env = { GATEHOUSE_HOST: host, GATEHOUSE_AGENT_LISTEN: endpoint };
    const member = await this.#launch('compute-agent', `${host}-${generation}`, generation, env, 0);
    this.#members.set(host, member);
    await member.process.awaitReady();
    this.#comings.set(host, this.comings(host) + 1);
  }

  /** Counts up before a host's agent is told to stop, and when the next one is ready: odd in between. */
  comings(host: Host): number {
    return this.#comings.get(host) ?? 0;
  }

  /** What each process logged, by its name; those that have ended too. */
  get logs(): ReadonlyMap<string, string> {
    return new Map(this.#all.map(({ name, process }) => [name, process.log]));
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#members.values()].map(({ process }) => process.stop()));
    for (const balancer of Object.values(this.#balancers)) balancer.close();
    removeTempFolder(this.#folder);
  }

  async #launch(service: string, name: string, generation: Generation, env: Record<string, string>, port: number): Promise<Member> {
    const entry = this.#entry(service, generation);
    const opsPort = await freePort();
    const process = await ServiceProcess.start({ name, entry, env: { ...this.#env, ...env }, opsPort, cwd: this.#folder });
    const member = { name, process, port };
    this.#all.push(member);
    return member;
  }

  #entry(name: string, generation: Generation): string {
    return generation === 'new' ? bundleOf(name) : join(releasedServices(this.#level), `${name}.js`);
  }
}
