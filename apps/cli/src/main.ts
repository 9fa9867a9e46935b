// The `gatehouse` command.
import { isServiceError } from '@gatehouse/errors/service-error';
import { readConfig } from '@gatehouse/runtime/config';
import { VERSION } from '@gatehouse/runtime/version';
import { readCommand } from './arguments.ts';
import { cliConfig } from './config.ts';
import type { CliConfig } from './config.ts';
import { migrateDatabases } from './migrate-databases.ts';
import { ERRORS } from './online-data-migrations.ts';
import type { Screen } from './progress.ts';

const COLUMNS_DEFAULT = 80;

async function main(): Promise<number> {
  const command = readCommand(process.argv.slice(2));
  switch (command.kind) {
    case 'help':
      process.stdout.write(command.text);
      return 0;
    case 'version':
      process.stdout.write(`gatehouse ${VERSION}\n`);
      return 0;
    case 'usage':
      return fail(command.message);
    case 'online-data-migrations':
      return migrateDatabases(command.options, settings, {
        signal: interruption(),
        clock: () => new Date(),
        print: (line) => process.stdout.write(`${line}\n`),
        screen: process.stderr.isTTY ? terminal() : null,
        isOneTerminal: process.stdout.isTTY,
      });
  }
}

/** As wide as it is at the moment. */
function terminal(): Screen {
  return {
    get columns() {
      return process.stderr.columns || COLUMNS_DEFAULT;
    },
    write: (text) => process.stderr.write(text),
  };
}

function settings(): CliConfig {
  return readConfig(cliConfig, process.env, (message) => process.stderr.write(`gatehouse: ${message}\n`));
}

/** Aborted by the first SIGINT or SIGTERM; the second one ends the process. */
function interruption(): AbortSignal {
  const stopping = new AbortController();
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    process.on(signal, () => {
      if (stopping.signal.aborted) process.exit(code);
      process.stderr.write('\ngatehouse: ends after the batches that are under way\n');
      stopping.abort();
    });
  }
  return stopping.signal;
}

function fail(message: string): number {
  process.stderr.write(`gatehouse: ${message}\n`);
  return ERRORS;
}

// Whoever reads may have seen enough, as `head` does; the rows are what matters.
process.stdout.on('error', () => {});
process.exitCode = await main().catch((error: unknown) => fail(isServiceError(error) ? error.message : `something unexpected: ${String(error)}`));
