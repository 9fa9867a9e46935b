/** The classes of one consoleauth without its process, for the tests that race them against each other. */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { noAudit } from '@gatehouse/runtime/audit';
import { createLogger } from '@gatehouse/runtime/logger';
import type { TestClock } from '@gatehouse/runtime/test-clock';
import { consoleAuthConfig } from './config.ts';
import { ConsoleAdmission } from './console-admission.ts';
import { ConsoleAuth } from './console-auth.ts';
import { ConsoleClaims } from './console-claims.ts';
import { DatabaseTokens } from './database-tokens.ts';
import { Outages } from './outages.ts';
import { RegisteredConsoles } from './registered-consoles.ts';
import { SessionEnds } from './session-ends.ts';
import { SessionLeases } from './session-leases.ts';

export function consoleParts(db: CellDb, clock: TestClock, settings: Readonly<Record<string, string>> = {}) {
  const config = consoleAuthConfig.parse(settings);
  const log = createLogger({ service: 'test', level: 'silent' });
  const outages = new Outages(config.consoleLease, clock, log);
  const leases = new SessionLeases(db, outages, noAudit, clock, config.consoleLease);
  const tokens = new DatabaseTokens(db, clock);
  const ends = new SessionEnds({ async endSessions() {} }, log);
  const claims = new ConsoleClaims(db, tokens, leases, config, clock);
  return {
    ...{ db, outages, leases, config },
    auth: new ConsoleAuth(db, tokens, leases, config, noAudit, clock),
    admission: new ConsoleAdmission(db, claims, { confirmConsole: async () => true }, ends, noAudit),
    registered: new RegisteredConsoles(db, ends, config, clock),
  };
}

export type ConsoleParts = ReturnType<typeof consoleParts>;
