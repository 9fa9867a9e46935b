/** The serial lines of a host's guests, each opened once and found by its instance and port. */
import type { GuestConsole } from '@gatehouse/console-stream/open-console';
import type { EndReason } from '@gatehouse/errors/endings';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Driver } from './drivers/driver.ts';
import { SerialLine } from './serial-line.ts';

/** What is kept of a line's last words after it closed, and of how many guests. */
const LAST_WORDS_BYTES = 16 * 1024;
const LAST_WORDS_MAX = 1_000;

export class SerialLines {
  readonly #driver: Driver;
  readonly #scrollbackBytes: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** By instance, then by port. The promise, so that two who come at once share one line. */
  readonly #lines = new Map<string, Map<number, Promise<SerialLine>>>();
  /** What the first line of a guest that is off said last: why it stopped is often in it. Oldest first. */
  readonly #lastWords = new Map<string, Buffer>();

  constructor(driver: Driver, scrollbackBytes: number, clock: Clock, log: Logger) {
    this.#driver = driver;
    this.#scrollbackBytes = scrollbackBytes;
    this.#clock = clock;
    this.#log = log;
  }

  /** Opens every serial port of a guest, so that nothing it prints is lost. A port that fails is opened by its first user. */
  async openAll(instanceUuid: string): Promise<void> {
    for (const { port, options } of await this.#driver.consoles(instanceUuid, 'serial')) {
      // One that the guest serves itself has room for one client, and that is its user.
      if (options['transport'] === 'tcp') continue;
      try {
        await this.#line(instanceUuid, port);
      } catch (error) {
        this.#log.warn({ instanceUuid, port, err: error }, 'a serial port could not be opened yet');
      }
    }
  }

  /** Throws what the driver throws when the port cannot be opened. */
  async attach(instanceUuid: string, port: number, offset: number | null): Promise<GuestConsole> {
    const line = await this.#line(instanceUuid, port);
    return line.attach(offset);
  }

  /** What the line printed lately; with null, or of a guest that is off, what its first line said last. */
  async output(instanceUuid: string, port: number | null): Promise<Buffer> {
    if (port === null) return this.#lastWords.get(instanceUuid) ?? Buffer.alloc(0);
    return (await this.#line(instanceUuid, port)).output();
  }

  /** The guest is gone for good. */
  forget(instanceUuid: string): void {
    this.#lastWords.delete(instanceUuid);
  }

  async closeAll(instanceUuid: string, reason: EndReason): Promise<void> {
    const lines = [...(this.#lines.get(instanceUuid) ?? [])].sort(([a], [b]) => a - b);
    this.#lines.delete(instanceUuid);
    for (const [index, [, opening]] of lines.entries()) {
      const line = await opening.catch(() => null);
      if (index === 0 && line !== null) this.#keepLastWords(instanceUuid, line.output());
      line?.close(reason);
    }
  }

  async close(reason: EndReason): Promise<void> {
    for (const instanceUuid of [...this.#lines.keys()]) await this.closeAll(instanceUuid, reason);
  }

  #keepLastWords(instanceUuid: string, output: Buffer): void {
    this.#lastWords.delete(instanceUuid);
    this.#lastWords.set(instanceUuid, Buffer.from(output.subarray(-LAST_WORDS_BYTES)));
    const [oldest] = this.#lastWords.keys();
    if (this.#lastWords.size > LAST_WORDS_MAX && oldest !== undefined) this.#lastWords.delete(oldest);
  }

  async #line(instanceUuid: string, port: number): Promise<SerialLine> {
    const lines = this.#lines.get(instanceUuid) ?? new Map<number, Promise<SerialLine>>();
    this.#lines.set(instanceUuid, lines);
    for (let opening = lines.get(port); opening; opening = lines.get(port)) {
      const line = await opening.catch(() => null);
      if (line?.isOpen) return line;
      // Between this and the opening below nobody else can run.
      if (lines.get(port) === opening) lines.delete(port);
    }
    const fresh = this.#driver
      .open(instanceUuid, 'serial', port)
      .then((guest) => new SerialLine(guest, this.#scrollbackBytes, this.#clock));
    lines.set(port, fresh);
    return fresh;
  }
}
