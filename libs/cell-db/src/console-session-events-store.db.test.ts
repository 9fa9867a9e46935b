import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import type { EventPosition, NewSessionEvent } from './console-session-events-store.ts';
import { NOW, onEachCellDb, seconds } from './testing.ts';

// What is read waits for every transaction of the server.
onEachCellDb('console session events', (db, kind) => {
  const event = (values: Partial<NewSessionEvent> = {}): NewSessionEvent => ({ kind: 'connected', sessionId: randomUUID(), at: NOW, reason: null, ...values });

  async function allAfter(start: EventPosition, limit: number): Promise<readonly string[]> {
    const seen: string[] = [];
    for (let position = start; ; ) {
      const { events, end, isLast } = await db().consoleSessionEvents.listAfter(position, limit);
      seen.push(...events.map(({ sessionId }) => sessionId));
      if (isLast) return seen;
      position = end;
    }
  }

  it('are refused when they name no session', async () => {
    await assert.rejects(db().consoleSessionEvents.add([event({ sessionId: 'nobody' })]), { code: 'INVALID_ARGUMENT' });
  });

  it('are read in their order, page by page, each once, and nothing is behind the end', async () => {
    const start = await db().consoleSessionEvents.newest();
    const told = [event(), event({ kind: 'ending', reason: 'instance_deleted', at: seconds(1) }), event({ kind: 'ended', reason: 'lease_lost' })];
    for (const each of told) await db().consoleSessionEvents.add([each]);
    await db().consoleSessionEvents.add([]);
    assert.deepEqual(await allAfter(start, 1), told.map(({ sessionId }) => sessionId));
    const page = await db().consoleSessionEvents.listAfter(start, 100);
    assert.deepEqual(page.events.map(({ position: _, ...rest }) => rest), told);
    const after = await db().consoleSessionEvents.listAfter(page.end, 100);
    assert.deepEqual([after.events, after.isLast], [[], true]);
  });

  it('are not looked for behind a place to which this database has not come', async () => {
    await assert.rejects(db().consoleSessionEvents.listAfter({ xact: 2n ** 60n, id: 7n }, 10), { code: 'INVALID_ARGUMENT', message: /have not come to that place/ });
  });

  it('are forgotten in batches, the oldest first', async () => {
    await db().consoleSessionEvents.deleteBefore(seconds(-98), 10_000);
    const start = await db().consoleSessionEvents.newest();
    const [old, older, young] = [event({ at: seconds(-99) }), event({ at: seconds(-100) }), event()];
    await db().consoleSessionEvents.add([old, older, young]);
    assert.equal(await db().consoleSessionEvents.deleteBefore(seconds(-98), 1), 1);
    assert.deepEqual(await allAfter(start, 10), [old.sessionId, young.sessionId]);
    assert.equal(await db().consoleSessionEvents.deleteBefore(seconds(-98), 10), 1);
    assert.deepEqual(await allAfter(start, 10), [young.sessionId]);
  });

  // The embedded one has a single session: nothing there runs beside another.
  if (kind !== 'PostgreSQL') return;

  it('of a transaction that commits late are not passed over by those of a faster one', async () => {
    const start = await db().consoleSessionEvents.newest();
    const [slow, fast] = [event(), event()];
    let commit = (): void => {};
    const allowed = new Promise<void>((resolve) => (commit = resolve));
    let written = (): void => {};
    const isWritten = new Promise<void>((resolve) => (written = resolve));
    const slowly = db().transaction(async ({ consoleSessionEvents }) => {
      await consoleSessionEvents.add([slow]);
      written();
      await allowed;
    });
    await isWritten;
    await db().consoleSessionEvents.add([fast]);
    const early = await db().consoleSessionEvents.listAfter(start, 10);
    assert.deepEqual(early.events, [], 'what follows the slow transaction waits for it');
    commit();
    await slowly;
    assert.deepEqual(await allAfter(early.end, 10), [slow.sessionId, fast.sessionId]);
  });

  it('are read whole by one who reads while many write', async function () {
    this.timeout(60_000);
    const start = await db().consoleSessionEvents.newest();
    const told: string[] = [];
    const write = async (): Promise<void> => {
      for (let round = 0; round < 20; round += 1) {
        const events = [event(), event()];
        await db().transaction(async (stores) => {
          await stores.consoleSessionEvents.add([events[0] ?? event()]);
          await stores.consoleSessionEvents.add([events[1] ?? event()]);
        });
        told.push(...events.map(({ sessionId }) => sessionId));
      }
    };
    let writing = true;
    const read: string[] = [];
    const reading = (async () => {
      let position = start;
      for (let last = false; !last; ) {
        last = !writing;
        const page = await db().consoleSessionEvents.listAfter(position, 7);
        read.push(...page.events.map(({ sessionId }) => sessionId));
        position = page.end;
        if (!page.isLast) last = false;
      }
    })();
    await Promise.all(Array.from({ length: 6 }, write));
    writing = false;
    await reading;
    assert.deepEqual(read.toSorted(), told.toSorted());
  });
}, { alone: true });
