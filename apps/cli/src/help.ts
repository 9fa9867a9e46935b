/** What `--help` says. */

export const HELP = `The command of Gatehouse's operators.

Usage: gatehouse <command> [options]

Commands:
  db online-data-migrations   moves data to where this release looks for it, while the services run

Options:
  --help      this text; after a command, that command's
  --version   the release
`;

export const DATABASE_HELP = `Commands for the databases.

Usage: gatehouse db <command> [options]

Commands:
  online-data-migrations   moves data to where this release looks for it, while the services run;
                           see gatehouse db online-data-migrations --help

The tables themselves are made and changed by the bundle migrate (node dist/migrate/main.js).
`;

export const MIGRATIONS_HELP = `Moves data to where this release looks for it, while the services run: each instance's key pair into its instance_extra, and
key pairs out of the cells' databases into the API database. It can be stopped, killed and run again at any time, and twice at once.

Usage: gatehouse db online-data-migrations [--max-count <number>] [--dry-run] [--retry-set-aside] [--json]

Options:
  --max-count <number>   one pass that handles at most so many rows; without it, batches of 50 until nothing is left
  --dry-run              writes nothing, and tells what would be done and which rows would be set aside
  --retry-set-aside      also tries the rows again that were set aside, once they are mended; not with --max-count
  --json                 one JSON object instead of lines and tables

Environment:
  GATEHOUSE_API_DATABASE_URL     the API database, such as postgresql://user:password@host/gatehouse_api
  GATEHOUSE_CELL_DATABASE_URLS   the cells' databases, separated by commas; they are migrated side by side
                                 (GATEHOUSE_CELL_DATABASE_URL for one)
  Each may be the name of a file with _FILE after the variable's name.

Exit status:
  0     nothing is left to do
  1     something was done, and there may be more: run it again (with --max-count or after Ctrl-C; with --dry-run: there is something to do)
  2     something failed, or rows are set aside that only a person can mend
  127   --max-count is not a number of at least 1
`;
