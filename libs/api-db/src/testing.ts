/** A migrated API database of each kind, for the suites of the stores. */
import { after, before, describe } from 'mocha';
import { START_TIMEOUT_MS, TEST_DATABASES } from '@gatehouse/database/testing';
import { openApiDb } from './api-db.ts';
import type { ApiDb } from './api-db.ts';

export const NOW = new Date('2026-03-01T12:00:00.123Z');

/** The suite on PostgreSQL and on the embedded one; `db()` is for use inside tests and hooks. */
export function onEachApiDb(title: string, suite: (db: () => ApiDb) => void): void {
  for (const kind of TEST_DATABASES) {
    describe(`${title} on ${kind.name}`, () => {
      let opened: ApiDb | undefined;
      let stop = async (): Promise<void> => {};
      before(async function () {
        this.timeout(START_TIMEOUT_MS);
        const server = await kind.start();
        stop = server.stop;
        opened = await openApiDb(await server.source());
        await opened.migrate();
      });
      after(async () => {
        await opened?.close();
        await stop();
      });
      suite(() => {
        if (opened === undefined) throw new Error('the database is open only while tests run');
        return opened;
      });
    });
  }
}
