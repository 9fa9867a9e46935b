/** What the command line asks for. */
import { parseArgs } from 'node:util';
import { DATABASE_HELP, HELP, MIGRATIONS_HELP } from './help.ts';

export interface MigrationOptions {
  /** As it was written; null: until complete. */
  readonly maxCount: string | null;
  readonly isDryRun: boolean;
  readonly retriesSetAside: boolean;
  readonly isJson: boolean;
}

export type Command =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | { readonly kind: 'usage'; readonly message: string }
  | { readonly kind: 'online-data-migrations'; readonly options: MigrationOptions };

const FLAGS = {
  'max-count': { type: 'string' },
  'dry-run': { type: 'boolean' },
  'retry-set-aside': { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** `words`: what follows the program's name. */
export function readCommand(words: readonly string[]): Command {
  const [group, command, ...rest] = words;
  if (group === undefined || isHelp(group)) return { kind: 'help', text: HELP };
  if (group === '--version' || group === 'version') return { kind: 'version' };
  if (group !== 'db') return unknown(`there is no command '${shown(group)}': there is db; see gatehouse --help`);
  if (command === undefined || isHelp(command)) return { kind: 'help', text: DATABASE_HELP };
  // Nova's scripts write it with lines below.
  if (command.replaceAll('_', '-') !== 'online-data-migrations') {
    return unknown(`there is no command 'db ${shown(command)}': there is db online-data-migrations; see gatehouse db --help`);
  }
  return readMigrationOptions(rest);
}

function readMigrationOptions(words: readonly string[]): Command {
  try {
    const { values, positionals } = parseArgs({ args: joined(words), options: FLAGS, allowPositionals: true });
    if (values.help === true) return { kind: 'help', text: MIGRATIONS_HELP };
    if (positionals[0] !== undefined) return unknown(`db online-data-migrations takes options alone, not '${shown(positionals[0])}'; see gatehouse db online-data-migrations --help`);
    // A loop of such runs would try the same first rows for ever, and each would say that there may be more.
    if (values['retry-set-aside'] === true && values['max-count'] !== undefined && values['dry-run'] !== true) return unknown('--retry-set-aside tries all rows that were set aside, so it does not go with --max-count; see gatehouse db online-data-migrations --help');
    const options = {
      maxCount: values['max-count'] ?? null,
      isDryRun: values['dry-run'] === true,
      retriesSetAside: values['retry-set-aside'] === true,
      isJson: values.json === true,
    };
    return { kind: 'online-data-migrations', options };
  } catch (error) {
    const message = error instanceof Error ? (error.message.split(/\.(?:\s|$)/, 1)[0] ?? '') : '';
    return unknown(`${shown(message)}; see gatehouse db online-data-migrations --help`);
  }
}

/** A count below zero looks like an option to Node, and is a bad count to Nova. */
function joined(words: readonly string[]): string[] {
  const spelled = words.map((word) => (word === '--max_count' ? '--max-count' : word));
  return spelled.flatMap((word, index) => {
    if (spelled[index - 1] === '--max-count') return [];
    const next = spelled[index + 1];
    return word === '--max-count' && next !== undefined ? [`${word}=${next}`] : [word];
  });
}

function isHelp(word: string): boolean {
  return word === '--help' || word === '-h' || word === 'help';
}

function unknown(message: string): Command {
  return { kind: 'usage', message };
}

/** A terminal shows it. */
function shown(text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?');
}
