/**
 * Users who open consoles all the time, each with a machine of their own: ask for a console by REST, open it through
 * the proxy, see that bytes go there and come back, leave, and see that the session is over. Whatever else happens is
 * a failure, kept with its words. Only what a host answers whose agent is being restarted is tried again, as its
 * words ask.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ComputeClient } from './compute-client.ts';
import { ConsoleSocket, RFB_GREETING } from './console-socket.ts';

export interface TrafficOptions {
  readonly compute: ComputeClient;
  /** Sessions of the machine that are not over. */
  readonly countOpen: (serverId: string) => Promise<number>;
  /** How often the host has gone and come back, by halves: odd while it is away. What is refused may be tried again where it changed during the try, or is odd. */
  readonly comings: (host: string) => number;
  /** Under which name a console counts that begins now. */
  readonly label: () => string;
}

export interface Machine {
  readonly id: string;
  readonly host: string;
}

const OVER_WITHIN_MS = 10_000;
const BACK_WITHIN_MS = 60_000;
/** Users look at what they opened; without it a fast machine would do nothing else. */
const PAUSE_MS = 40;
/** A host that does not answer (503), or whose agent restarts while its console is open (1012) or being opened (4503). */
const AWAY = /\b(?:503|1012|4503)\b/;
/** A request that was answered with 503 may still lie in the host's queue, and is served after the next one: its link is the newer one then. */
const OVERTAKEN = /4409.*newer link of yours/;

export class ConsoleTraffic {
  readonly opened = new Map<string, number>();
  readonly failures: string[] = [];
  /** Tries that met a host whose agent was being restarted. */
  triedAgain = 0;
  readonly #options: TrafficOptions;
  #running: Promise<void>[] = [];
  #isStopping = false;

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  start(machines: readonly Machine[]): void {
    this.#running = machines.map((machine) => this.#live(machine));
  }

  /** Resolves when the consoles that are open are done. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running);
  }

  /** Resolves when so many more consoles of a name were opened, or something failed. */
  async await(label: string, more: number): Promise<void> {
    const enough = (this.opened.get(label) ?? 0) + more;
    while ((this.opened.get(label) ?? 0) < enough && this.failures.length === 0) await sleep(20);
  }

  async #live(machine: Machine): Promise<void> {
    for (let turn = 0; !this.#isStopping && this.failures.length === 0; turn += 1) {
      const protocol = turn % 2 === 0 ? 'vnc' : 'serial';
      const label = this.#options.label();
      try {
        await this.#openOne(machine, protocol);
        this.opened.set(label, (this.opened.get(label) ?? 0) + 1);
      } catch (error) {
        const [words] = (error instanceof Error ? error.message : String(error)).split('\n');
        this.failures.push(`${new Date().toISOString()} ${label}: ${protocol} of ${machine.host}: ${words}`);
      }
      await sleep(PAUSE_MS);
    }
  }

  async #openOne({ id, host }: Machine, protocol: 'vnc' | 'serial'): Promise<void> {
    const deadline = Date.now() + BACK_WITHIN_MS;
    for (let tries = 0; ; tries += 1) {
      const before = this.#options.comings(host);
      try {
        await this.#use(await this.#options.compute.consoleUrl(id, protocol), protocol);
        break;
      } catch (error) {
        const isAway = before % 2 === 1 || this.#options.comings(host) !== before;
        const { message } = error as Error;
        // Who was overtaken may hear of it when the host is long back.
        const isPassing = (isAway && AWAY.test(message)) || (tries > 0 && OVERTAKEN.test(message));
        if (Date.now() > deadline || !isPassing) throw error;
        this.triedAgain += 1;
        await this.#over(id);
        await sleep(200);
      }
    }
    await this.#over(id);
  }

  async #use(url: string, protocol: 'vnc' | 'serial'): Promise<void> {
    const socket = await ConsoleSocket.open(url);
    if (protocol === 'vnc') {
      await socket.awaitText(RFB_GREETING);
      socket.send('RFB 003.008\n');
      // One security type, None: the guest has read what we sent.
      await socket.awaitText(/^RFB 003\.008\n\x01\x01/);
    } else {
      await socket.awaitText(/\$ /);
      const word = randomBytes(6).toString('hex');
      socket.send(`echo ${word}\r`);
      await socket.awaitText(new RegExp(`\\r\\n${word}\\r\\n`));
    }
    socket.close();
    assert.equal((await socket.closed).code, 1005);
  }

  /** The port is free again, and consoleauth knows: the proxy has told it. */
  async #over(id: string): Promise<void> {
    const deadline = Date.now() + OVER_WITHIN_MS;
    while ((await this.#options.countOpen(id)) > 0) {
      assert.ok(Date.now() < deadline, 'the session is not over');
      await sleep(20);
    }
  }
}
