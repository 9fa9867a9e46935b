/**
 * The commands of the simulated guest: each a function from words and the machine to what it prints. There is no
 * process, no disk and no network behind them, only what is known of the instance.
 */
import { counted, dateWords, elapsedWords } from './guest-words.ts';

export interface ShellKey {
  readonly name: string;
  readonly type: string;
  readonly fingerprint: string;
  readonly publicKey: string;
}

/** What the commands can know. */
export interface Machine {
  readonly name: string;
  readonly uuid: string;
  readonly hostname: string;
  readonly keys: readonly ShellKey[];
  readonly bootedAt: Date;
  readonly now: Date;
  readonly device: string;
  readonly sessions: number;
  readonly history: readonly string[];
}

export interface Answer {
  /** Lines end with \n, the serial line makes \r\n of it. */
  readonly output: string;
  readonly effect?: 'clear' | 'exit' | 'reboot';
}

export const USER = 'guest';
const OUTPUT_CHARACTERS_MAX = 64 * 1024;
const HOME = `/home/${USER}`;

type Command = (words: readonly string[], machine: Machine) => Answer;

const COMMANDS: Readonly<Record<string, { readonly help: string; readonly run: Command }>> = {
  cat: { help: 'print files', run: cat },
  clear: { help: 'clear the terminal', run: () => ({ output: '', effect: 'clear' }) },
  date: { help: 'print the time', run: (_words, machine) => say(dateWords(machine.now)) },
  echo: { help: 'print words', run: (words) => say(words.join(' ')) },
  exit: { help: 'log out', run: () => ({ output: 'logout\n', effect: 'exit' }) },
  help: { help: 'list the commands', run: () => ({ output: helpText() }) },
  history: { help: 'list the lines typed before', run: (_words, machine) => history(machine) },
  hostname: { help: "print this machine's name", run: (_words, machine) => say(machine.hostname) },
  keys: { help: 'list the key pairs of this instance', run: (_words, machine) => keys(machine) },
  ls: { help: 'list files', run: ls },
  pwd: { help: 'print the directory', run: () => say(HOME) },
  reboot: { help: 'start this machine anew', run: () => ({ output: '', effect: 'reboot' }) },
  tty: { help: "print this terminal's name", run: (_words, machine) => say(`/dev/${machine.device}`) },
  uname: { help: 'name the system (-a: in full)', run: uname },
  uptime: { help: 'say how long it has been up', run: (_words, machine) => say(uptime(machine)) },
  whoami: { help: 'print the user', run: () => say(USER) },
};

/** What the line does. Never throws: a fault of the line is part of the output. */
export function runCommand(line: string, machine: Machine): Answer {
  const words = splitWords(line);
  if (words === null) return say('sh: a quote is not closed');
  const [name, ...rest] = words;
  if (name === undefined) return { output: '' };
  if (!Object.hasOwn(COMMANDS, name)) return say(`${name}: command not found; help lists the commands`);
  const answer = COMMANDS[name]!.run(rest, machine);
  return answer.output.length <= OUTPUT_CHARACTERS_MAX ? answer : { ...answer, output: cutOutput(answer.output) };
}

function cutOutput(output: string): string {
  return `${output.slice(0, OUTPUT_CHARACTERS_MAX)}\n... the rest of ${output.length} characters is not shown\n`;
}

/** The files of the guest by path. */
export function filesOf(machine: Machine): ReadonlyMap<string, string> {
  const authorized = machine.keys.map((key) => `${key.publicKey}\n`).join('');
  return new Map([
    ['/etc/hostname', `${machine.hostname}\n`],
    ['/etc/machine-id', `${machine.uuid.replaceAll('-', '')}\n`],
    ['/etc/motd', motd(machine)],
    [`${HOME}/.ssh/authorized_keys`, authorized],
    [`${HOME}/README`, 'This machine is simulated: it has a screen, serial lines and these few files.\n'],
  ]);
}

export function motd(machine: Pick<Machine, 'name'>): string {
  return `Welcome to ${machine.name}, a simulated guest of Gatehouse. "help" lists the commands.\n`;
}

/** Words as a shell splits them: blanks part, quotes join, a backslash takes the next as it is. Null: a quote is open. */
export function splitWords(line: string): string[] | null {
  const words: string[] = [];
  let word: string | null = null;
  let quote = '';
  for (let at = 0; at < line.length; at += 1) {
    const character = line[at]!;
    if (quote !== '') {
      if (character === quote) quote = '';
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (character === '\\' && at + 1 < line.length) {
      at += 1;
      word = (word ?? '') + line[at]!;
    } else if (character === ' ' || character === '\t') {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quote !== '') return null;
  return word === null ? words : [...words, word];
}

function say(words: string): Answer {
  return { output: `${words}\n` };
}

function helpText(): string {
  const lines = Object.entries(COMMANDS).map(([name, { help }]) => `  ${name.padEnd(9)} ${help}\n`);
  return `Commands:\n${lines.join('')}`;
}

function cat(words: readonly string[], machine: Machine): Answer {
  if (words.length === 0) return say('cat: say which file; ls lists them');
  const files = filesOf(machine);
  let output = '';
  for (const path of words) {
    const full = absolute(path);
    const missing = isDirectory(files, full) ? 'Is a directory' : 'No such file or directory';
    output += files.get(full) ?? `cat: ${path}: ${missing}\n`;
    if (output.length > OUTPUT_CHARACTERS_MAX) break;
  }
  return { output };
}

function ls(words: readonly string[], machine: Machine): Answer {
  const files = filesOf(machine);
  const flags = words.filter((word) => word.startsWith('-')).join('');
  const path = words.find((word) => !word.startsWith('-')) ?? HOME;
  const full = absolute(path);
  if (files.has(full)) return say(path);
  if (!isDirectory(files, full)) return say(`ls: ${path}: No such file or directory`);
  const prefix = full === '/' ? '/' : `${full}/`;
  const entries = new Set([...files.keys()].filter((file) => file.startsWith(prefix)).map((file) => entryName(file, prefix)));
  const shown = [...entries].filter((entry) => flags.includes('a') || !entry.startsWith('.')).sort();
  return { output: shown.length === 0 ? '' : `${shown.join('  ')}\n` };
}

function entryName(file: string, prefix: string): string {
  const [name = '', ...deeper] = file.slice(prefix.length).split('/');
  return deeper.length === 0 ? name : `${name}/`;
}

function isDirectory(files: ReadonlyMap<string, string>, full: string): boolean {
  return full === '/' || [...files.keys()].some((file) => file.startsWith(`${full}/`));
}

function absolute(path: string): string {
  const from = path === '~' || path.startsWith('~/') ? HOME + path.slice(1) : path.startsWith('/') ? path : `${HOME}/${path}`;
  const parts: string[] = [];
  for (const part of from.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function keys(machine: Machine): Answer {
  if (machine.keys.length === 0) return say('no key pairs');
  return { output: machine.keys.map((key) => `${key.name}  ${key.type}  ${key.fingerprint}\n`).join('') };
}

function history(machine: Machine): Answer {
  return { output: machine.history.map((line, index) => `${String(index + 1).padStart(4)}  ${line}\n`).join('') };
}

function uname(words: readonly string[], machine: Machine): Answer {
  return say(words.includes('-a') ? `Gatehouse ${machine.hostname} 1.0 simulated` : 'Gatehouse');
}

function uptime(machine: Machine): string {
  const up = elapsedWords(machine.now.getTime() - machine.bootedAt.getTime());
  return `${machine.now.toISOString().slice(11, 19)} up ${up}, ${counted(machine.sessions, 'user')}`;
}
