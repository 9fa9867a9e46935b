/**
 * One serial line of the guest: a terminal with a shell behind it. The line and its state belong to the guest; a stream
 * is only its cable. One cable at a time; who plugs in later finds the prompt and the line as they were left. What is
 * printed while nobody is plugged in is lost, as on a real line: history is kept by whoever holds the cable, or in a log.
 */
import type { Duplex } from 'node:stream';
import type { Scrollback } from '../../scrollback.ts';
import { LineEditor } from './line-editor.ts';
import type { EditorEvent } from './line-editor.ts';
import { motd, runCommand } from './shell.ts';
import type { Machine } from './shell.ts';

export interface SerialHost {
  /** The machine as seen from this line. */
  machine(device: string, history: readonly string[]): Machine;
  rebooted(): void;
}

const CLEAR_SCREEN = '\x1b[H\x1b[2J';

export class SerialLine {
  readonly #host: SerialHost;
  readonly #device: string;
  readonly #log: Scrollback | null;
  readonly #editor = new LineEditor();
  #cable: Duplex | null = null;
  #greeted = false;

  /** `log` takes whatever is printed, read or not. */
  constructor(host: SerialHost, ordinal: number, log: Scrollback | null) {
    this.#host = host;
    this.#log = log;
    this.#device = `ttyS${ordinal}`;
  }

  get plugged(): boolean {
    return this.#cable !== null;
  }

  /** Plugs the stream in, if no other one is; false when one is. */
  plug(cable: Duplex): boolean {
    if (this.#cable !== null) return false;
    this.#cable = cable;
    cable.on('data', (bytes: Buffer) => this.#receive(cable, bytes));
    cable.on('error', () => this.#unplug(cable));
    cable.on('close', () => this.#unplug(cable));
    cable.on('end', () => cable.end());
    if (this.#greeted) this.#print(this.#prompt() + this.#editor.shown);
    else this.#greet();
    return true;
  }

  /** The guest starts anew: whatever was typed is gone and the banner comes again. */
  restarted(): void {
    this.#editor.reset();
    this.#greeted = false;
    if (this.#cable === null) return;
    this.#print('\n');
    this.#greet();
  }

  #unplug(cable: Duplex): void {
    if (this.#cable === cable) this.#cable = null;
  }

  #receive(cable: Duplex, bytes: Buffer): void {
    this.#work(cable, this.#editor.feed(bytes));
  }

  /**
   * Who does not read the answers is not listened to either: in the middle of what came, for a short command can have a
   * long answer.
   */
  #work(cable: Duplex, events: Iterator<EditorEvent>): void {
    while (this.#cable === cable && !cable.writableNeedDrain) {
      const next = events.next();
      if (next.done === true) return void cable.resume();
      this.#act(next.value);
    }
    cable.pause();
    cable.once('drain', () => this.#work(cable, events));
  }

  #act(event: EditorEvent): void {
    switch (event.type) {
      case 'echo':
        return this.#print(event.text);
      case 'redraw':
        return this.#print(event.before + this.#prompt() + this.#editor.shown);
      case 'interrupt':
        return this.#print(`^C\n${this.#prompt()}`);
      case 'end':
        this.#print('exit\n');
        return this.#run('exit');
      case 'line':
        this.#print('\n');
        return this.#run(event.text);
    }
  }

  #run(line: string): void {
    const answer = runCommand(line, this.#machine());
    this.#print(answer.output);
    switch (answer.effect) {
      case undefined:
        return this.#print(this.#prompt());
      case 'clear':
        return this.#print(CLEAR_SCREEN + this.#prompt());
      case 'exit':
        this.#editor.reset();
        this.#print('\n');
        return this.#greet();
      case 'reboot':
        this.#print('The system is going down for reboot now.\n');
        return this.#host.rebooted();
    }
  }

  #greet(): void {
    this.#greeted = true;
    const machine = this.#machine();
    this.#print(`${machine.name} (${machine.uuid}) on ${this.#device}\n${motd(machine)}\n${this.#prompt()}`);
  }

  #prompt(): string {
    return `${this.#machine().hostname}:~$ `;
  }

  #machine(): Machine {
    return this.#host.machine(this.#device, this.#editor.history);
  }

  #print(text: string): void {
    if (text === '') return;
    const bytes = Buffer.from(text.replaceAll('\n', '\r\n'));
    this.#log?.append(bytes);
    if (this.#cable?.writable) this.#cable.write(bytes);
  }
}
