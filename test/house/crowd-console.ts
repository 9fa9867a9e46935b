/**
 * One user of a crowd at one console: shows its link, types now and then, notices whether the machine answers, and keeps
 * what it was told at the end. It remembers only the last of what it heard.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { WebSocket } from 'ws';

export type Protocol = 'vnc' | 'serial';

export interface End {
  readonly code: number;
  readonly reason: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

const HEARD_CHARS_MAX = 2_048;
const OPEN_MS_MAX = 20_000;

/** RFC 6143: the client's version, security None, a shared session; then one pixel of the screen, whatever has changed. */
const RFB_HELLO = [/^RFB 003\.00[38]\n$/, 'RFB 003.008\n', /\x01\x01$/, '\x01', /\x00{4}$/, '\x01'] as const;
const ONE_PIXEL = Buffer.from([3, 0, 0, 0, 0, 0, 0, 1, 0, 1]);

export class CrowdConsole {
  readonly serverId: string;
  readonly protocol: Protocol;
  readonly #socket: WebSocket;
  #heard = '';
  #heardBytes = 0;
  #end: End | null = null;

  private constructor(serverId: string, protocol: Protocol, url: string) {
    this.serverId = serverId;
    this.protocol = protocol;
    const { host, hash } = new URL(url);
    const token = new URLSearchParams(hash.slice(1)).get('token') ?? assert.fail('the access URL has no token');
    this.#socket = new WebSocket(`ws://${host}/websockify`, ['binary', `token.${token}`], { perMessageDeflate: false });
    this.#socket.on('error', () => {});
    this.#socket.on('message', (data: Buffer) => {
      this.#heardBytes += data.length;
      this.#heard = (this.#heard + data.toString('latin1')).slice(-HEARD_CHARS_MAX);
    });
    this.#socket.once('close', (code, reason) => (this.#end = { code, reason: reason.toString(), at: Date.now() }));
  }

  /** Resolves when the machine has answered; rejects with the words of whoever turned the user away. */
  static async open(serverId: string, protocol: Protocol, url: string): Promise<CrowdConsole> {
    const console = new CrowdConsole(serverId, protocol, url);
    const deadline = Date.now() + OPEN_MS_MAX;
    try {
      if (protocol === 'serial') await console.#hear(/\$ $/, deadline);
      else await console.#greet(deadline);
    } catch (error) {
      console.leave();
      throw error;
    }
    return console;
  }

  /** Null while the console is open. */
  get end(): End | null {
    return this.#end;
  }

  /** Whether the machine answers to what is typed now. */
  async answers(withinMs: number): Promise<boolean> {
    const deadline = Date.now() + withinMs;
    try {
      if (this.protocol === 'serial') {
        const word = randomBytes(6).toString('hex');
        this.#socket.send(Buffer.from(`echo ${word}\r`));
        await this.#hear(new RegExp(`\\n${word}\\r\\n`), deadline);
      } else {
        const before = this.#heardBytes;
        this.#socket.send(ONE_PIXEL);
        await this.#until(() => this.#heardBytes > before, deadline);
      }
      return true;
    } catch {
      return false;
    }
  }

  leave(): void {
    this.#socket.close();
  }

  async #greet(deadline: number): Promise<void> {
    for (let at = 0; at < RFB_HELLO.length; at += 2) {
      await this.#hear(RFB_HELLO[at] as RegExp, deadline);
      this.#heard = '';
      this.#socket.send(Buffer.from(RFB_HELLO[at + 1] as string, 'latin1'));
    }
    await this.#until(() => this.#heard.length > 24, deadline);
  }

  #hear(pattern: RegExp, deadline: number): Promise<void> {
    return this.#until(() => pattern.test(this.#heard), deadline);
  }

  async #until(isSo: () => boolean, deadline: number): Promise<void> {
    while (!isSo()) {
      if (this.#end !== null) throw new Error(`the console closed with ${this.#end.code} ${this.#end.reason}`);
      if (Date.now() > deadline) throw new Error(`the console of ${this.serverId} was silent`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}
