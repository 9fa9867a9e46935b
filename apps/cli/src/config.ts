/** Settings of the `gatehouse` command: where the databases are. */
import { orNull, secretList, secretUrl } from '@gatehouse/runtime/config';
import { z } from 'zod';

const POSTGRESQL = ['postgresql', 'postgres'];

export const cliConfig = z.object({
  apiDatabaseUrl: secretUrl(POSTGRESQL),
  /** One URL a cell, separated by commas (%2C for one in a password). */
  cellDatabaseUrls: orNull(secretList()),
  /** Where there is one cell only. */
  cellDatabaseUrl: orNull(secretUrl(POSTGRESQL)),
});
export type CliConfig = z.output<typeof cliConfig>;
