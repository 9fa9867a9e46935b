/**
 * PostgreSQL inside this process (PGlite), behind the same driver as the real one.
 *
 * PGlite is one backend in single-user mode: one session, one statement at a time. node-postgres may bring its
 * own socket, so each of its connections gets one that ends here (embedded-socket.ts), and the connections take
 * turns at the backend: a turn lasts from a connection's first message until the backend is idle outside a
 * transaction. Pools, time limits, types and errors are then those of a PostgreSQL server, and two databases
 * live in one backend as two schemas, each connection seeing its own.
 *
 * One transaction at a time follows. Work inside one that waits for another connection waits for itself, until
 * the transaction's time limit: use only the stores that transaction() hands out.
 */
import { mkdir } from 'node:fs/promises';
import type { PGlite } from '@electric-sql/pglite';
import { ServiceError } from '@gatehouse/errors/service-error';

/** The right to speak to the backend, until `release`. Releasing twice is harmless. */
export interface Turn {
  /** Whole protocol messages in, the backend's answers out. */
  exchange(messages: Uint8Array): Promise<Uint8Array>;
  release(): void;
}

export interface EmbeddedPostgresql {
  /** Waits for the backend to be free; first come, first served. The statements will see `schema` alone. */
  takeTurn(schema: string): Promise<Turn>;
  /** Waits for the turn that is under way, then stops the backend and writes its data out. */
  close(): Promise<void>;
}

/** PGlite's default is 128 MB, resident from the first day; these tables fit in a few. */
const SHARED_BUFFERS = '8MB';

/**
 * The first start in a folder makes a cluster (5 s and, until the next garbage collection, 0.8 GB), later ones take
 * about a second.
 * @param dataDir a folder (made when missing), or `memory://` for nothing kept. One process at a time may use a
 *   folder: a second one loses rows, and it is the application's to refuse it.
 * @throws ServiceError FAILED_PRECONDITION: the folder cannot be used
 */
export async function openEmbeddedPostgresql(dataDir: string): Promise<EmbeddedPostgresql> {
  let backend: PGlite;
  try {
    if (!dataDir.includes('://')) await mkdir(dataDir, { recursive: true, mode: 0o700 });
    // Loaded here, so that a process that uses a server never has it in memory.
    const { PGlite } = await import('@electric-sql/pglite');
    const startParams = [...PGlite.defaultStartParams, '-c', `shared_buffers=${SHARED_BUFFERS}`];
    backend = await PGlite.create({ dataDir, startParams });
  } catch (cause) {
    throw new ServiceError('FAILED_PRECONDITION', `the embedded database cannot use ${dataDir}; move it away to start with an empty one`, { cause });
  }

  let last: Promise<void> = Promise.resolve();
  let schemaNow: string | undefined;
  let isClosed = false;

  async function select(schema: string): Promise<void> {
    if (schemaNow === schema) return;
    schemaNow = undefined;
    await backend.exec(`SET search_path TO "${schema}"`);
    schemaNow = schema;
  }

  async function takeTurn(schema: string): Promise<Turn> {
    if (!/^[a-z][a-z0-9_]*$/.test(schema)) throw new ServiceError('INVALID_ARGUMENT', `${schema} cannot be the name of a schema`);
    const before = last;
    let release = (): void => {};
    last = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    try {
      if (isClosed) throw new ServiceError('UNAVAILABLE', 'the embedded database is closed');
      await select(schema);
    } catch (error) {
      release();
      throw error;
    }
    return { exchange: (messages) => backend.execProtocolRaw(messages), release };
  }

  return {
    takeTurn,
    async close() {
      if (isClosed) return;
      isClosed = true;
      await last;
      await backend.close();
    },
  };
}
