/** One service as a process of its own, whichever code it runs: started, asked whether it is ready, drained or killed. */
import { startServer } from '../servers/server-process.ts';
import type { ServerProcess } from '../servers/server-process.ts';

const LOG_CHARS_MAX = 4_000_000;

export interface ServiceProcessOptions {
  readonly name: string;
  /** The file that node runs. */
  readonly entry: string;
  readonly env: Readonly<Record<string, string>>;
  readonly opsPort: number;
  readonly cwd: string;
}

export class ServiceProcess {
  readonly #name: string;
  readonly #server: ServerProcess;
  readonly #opsPort: number;

  private constructor(name: string, server: ServerProcess, opsPort: number) {
    this.#name = name;
    this.#server = server;
    this.#opsPort = opsPort;
  }

  /** Resolves when the process lives (/healthz), whether or not what it needs is there. */
  static async start({ name, entry, env, opsPort, cwd }: ServiceProcessOptions): Promise<ServiceProcess> {
    const server = await startServer({
      name,
      command: process.execPath,
      args: [entry],
      env: { NODE_NO_WARNINGS: '1', ...env, GATEHOUSE_OPS_PORT: String(opsPort) },
      cwd,
      isReady: () => answers(opsPort, 'healthz'),
      outputCharsMax: LOG_CHARS_MAX,
    });
    return new ServiceProcess(name, server, opsPort);
  }

  isReady(): Promise<boolean> {
    return isReadyAt(this.#opsPort);
  }

  async awaitReady(timeoutMs = 60_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!(await this.isReady())) {
      if (Date.now() > deadline) throw new Error(`${this.#name} is not ready\n${this.log.slice(-4_000)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** SIGTERM, and SIGKILL to one that does not end. */
  stop(): Promise<void> {
    return this.#server.stop();
  }

  kill(): Promise<void> {
    return this.#server.kill();
  }

  /** SIGSTOP: it does nothing any more, and whoever is connected to it stays connected. */
  freeze(): void {
    process.kill(this.#server.pid, 'SIGSTOP');
  }

  thaw(): void {
    process.kill(this.#server.pid, 'SIGCONT');
  }

  /** Everything that it logged. */
  get log(): string {
    return this.#server.output();
  }
}

export function isReadyAt(opsPort: number): Promise<boolean> {
  return answers(opsPort, 'readyz');
}

function answers(opsPort: number, path: string): Promise<boolean> {
  return fetch(`http://127.0.0.1:${opsPort}/${path}`, { signal: AbortSignal.timeout(5_000) }).then((response) => response.status === 200, () => false);
}
