/**
 * A proxy and another machine, joined by a cable that is pulled: who notices, when, and what is said of it. It runs in
 * network namespaces that it made itself, so it needs to be started by `unshare --map-root-user --net`, and no rights beyond.
 * Prints one line of JSON: what happened after each kind of peer vanished.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeCertificate } from '../servers/certificates.ts';
import { TestProxies, until } from '@gatehouse/console-proxy/test-proxy';
import { PEER_ADDRESS, PEER_DEVICE, type PeerOrder } from './vanishing-peer.ts';

const OUR_ADDRESS = '10.213.77.1';
const OUR_DEVICE = 'gh-proxy';
/** Pinged each second, and given up after three. */
const PING_SECONDS = 1;
const NOTICED_MS_MAX = 80_000;
/** How often the system sends again what is not acknowledged, before it gives a connection up: as docs/operating.md advises. */
const RETRIES = '6';

export interface Noticed {
  readonly afterSeconds: number;
  readonly endReason: string;
  /** What its client read; null where the client is who vanished. */
  readonly close: { readonly code: number; readonly reason: string } | null;
  readonly sessionsLeft: number;
}

class Peer {
  readonly #process: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(process: ChildProcess) {
    this.#process = process;
    this.#answers = createInterface({ input: process.stdout! })[Symbol.asyncIterator]();
  }

  /** In a namespace of its own, at the other end of a new cable. */
  static async start(): Promise<Peer> {
    const script = fileURLToPath(new URL('vanishing-peer.ts', import.meta.url));
    const child = spawn('unshare', ['--net', process.execPath, '--import', 'tsx', script, 'obey'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const peer = new Peer(child);
    // It has left our namespace when it can answer.
    await until(() => namespaceOf(child.pid!) !== namespaceOf(process.pid), 'the other namespace');
    execFileSync('ip', ['link', 'add', OUR_DEVICE, 'type', 'veth', 'peer', 'name', PEER_DEVICE, 'netns', String(child.pid)]);
    execFileSync('ip', ['addr', 'add', `${OUR_ADDRESS}/30`, 'dev', OUR_DEVICE]);
    execFileSync('ip', ['link', 'set', OUR_DEVICE, 'up']);
    await peer.tell({ do: 'cable' });
    return peer;
  }

  async tell<Answer>(order: PeerOrder): Promise<Answer> {
    this.#process.stdin!.write(`${JSON.stringify(order)}\n`);
    const { value } = await this.#answers.next();
    const answer = JSON.parse(value as string) as Answer & { readonly error?: string };
    if (answer.error !== undefined) throw new Error(`${order.do}: ${answer.error}`);
    return answer;
  }

  async stop(): Promise<void> {
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }
}

function namespaceOf(pid: number): string {
  return execFileSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8' });
}

class World {
  readonly #peer: Peer;
  readonly #proxies: TestProxies;
  readonly #folder: string;

  private constructor(peer: Peer, proxies: TestProxies, folder: string) {
    this.#peer = peer;
    this.#proxies = proxies;
    this.#folder = folder;
  }

  static async make(): Promise<World> {
    // What this machine says to itself, to its own address on the cable too, goes over the loopback device.
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
    writeFileSync('/proc/sys/net/ipv4/tcp_retries2', RETRIES);
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-half-open-'));
    const peer = await Peer.start();
    const { certificate, key } = makeCertificate(folder, 'both', PEER_ADDRESS);
    const proxies = new TestProxies();
    await proxies.auth.serve(proxies.transport);
    const tls = { streamTlsCert: certificate, streamTlsKey: key, streamTlsCa: certificate };
    await proxies.start('p', { bindAddress: OUR_ADDRESS, proxyPing: PING_SECONDS, proxyResumeWait: 0, ...tls });
    return new World(peer, proxies, folder);
  }

  /** The client's machine is gone. */
  async client(): Promise<Noticed> {
    const { port } = await this.#peer.tell<{ port: number }>({ do: 'guest' });
    this.#console({ port });
    await this.#peer.tell({ do: 'open', url: `${this.#proxies.urlOf('p').replace('http', 'ws')}/websockify`, protocols: ['gatehouse.v1', 'binary', 'token.t'] });
    return this.#pull(null);
  }

  /** The machine that serves a dialled console is gone; `typing`: while its user types. */
  async host({ typing }: { readonly typing: boolean }): Promise<Noticed> {
    const { port } = await this.#peer.tell<{ port: number }>({ do: 'guest' });
    this.#console({ port });
    return this.#openAndPull(typing);
  }

  /** The compute host whose agent streams the console is gone. */
  async agent({ typing }: { readonly typing: boolean }): Promise<Noticed> {
    const [certificate, key] = [join(this.#folder, 'both.pem'), join(this.#folder, 'both.key')];
    const { endpoint } = await this.#peer.tell<{ endpoint: string }>({ do: 'agent', certificate, key });
    this.#console({ port: 0, endpoint });
    return this.#openAndPull(typing);
  }

  async close(): Promise<void> {
    await this.#proxies.close();
    await this.#peer.stop();
    rmSync(this.#folder, { recursive: true });
  }

  #console(where: { readonly port: number; readonly endpoint?: string }): void {
    this.#proxies.auth.consoles.set('t', { instanceName: 'm', consoleType: 'serial', address: PEER_ADDRESS, ...where });
  }

  async #openAndPull(typing: boolean): Promise<Noticed> {
    const client = this.#proxies.open('p', 't');
    await client.session();
    client.socket.send(Buffer.from('here'));
    await until(() => client.text === 'here', 'the echo');
    const keys = typing ? setInterval(() => client.socket.send(Buffer.from('x')), 500) : undefined;
    try {
      return await this.#pull(client.closed);
    } finally {
      clearInterval(keys);
    }
  }

  async #pull(closed: Promise<NonNullable<Noticed['close']>> | null): Promise<Noticed> {
    const { auth } = this.#proxies;
    await this.#peer.tell({ do: 'vanish' });
    const since = performance.now();
    await until(() => auth.released.length > 0, 'the end of the session', NOTICED_MS_MAX);
    const afterSeconds = Math.round((performance.now() - since) / 100) / 10;
    return { afterSeconds, endReason: auth.released[0]!.reason, close: await closed, sessionsLeft: auth.open.size };
  }
}

const CASES: Readonly<Record<string, (world: World) => Promise<Noticed>>> = {
  client: (world) => world.client(),
  host: (world) => world.host({ typing: false }),
  'host-typing': (world) => world.host({ typing: true }),
  agent: (world) => world.agent({ typing: false }),
  'agent-typing': (world) => world.agent({ typing: true }),
};

const wanted = CASES[process.argv[2] ?? ''];
if (wanted !== undefined) {
  const world = await World.make();
  const noticed = await wanted(world);
  process.stdout.write(`${JSON.stringify(noticed)}\n`);
  await world.close();
  process.exit(0);
}
