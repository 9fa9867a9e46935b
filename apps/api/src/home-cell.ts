/** The cell whose database this api writes to, known to the API database by name; made at its first use. */
import { randomUUID } from 'node:crypto';
import type { ApiDb } from '@gatehouse/api-db/api-db';
import { isServiceError } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';

export interface HomeCell {
  readonly name: string;
  readonly transportUrl: string;
  readonly databaseUrl: string;
}

/** The address without its user and password: a row is read by more eyes than an environment. */
export function withoutCredentials(address: string): string {
  const [, scheme = '', hosts = '', rest = ''] = /^([a-z]+:\/\/)([^/?#]*)(.*)$/.exec(address) ?? [address, address];
  // A broker's URL may name several hosts, each with a user of its own.
  return scheme + hosts.split(',').map((host) => host.slice(host.lastIndexOf('@') + 1)).join(',') + rest;
}

/** A function that answers the cell's uuid, from memory after its first success. */
export function homeCell(apiDb: ApiDb, cell: HomeCell, clock: Clock): () => Promise<string> {
  let known: string | null = null;
  return async () => {
    known ??= await findOrMake(apiDb, cell, clock);
    return known;
  };
}

async function findOrMake(apiDb: ApiDb, cell: HomeCell, clock: Clock): Promise<string> {
  const found = await apiDb.cellMappings.findByName(cell.name);
  if (found !== null) return found.uuid;
  const uuid = randomUUID();
  try {
    const [transportUrl, databaseUrl] = [withoutCredentials(cell.transportUrl), withoutCredentials(cell.databaseUrl)];
    await apiDb.cellMappings.save({ uuid, name: cell.name, transportUrl, databaseUrl, disabled: false }, clock.now());
    return uuid;
  } catch (error) {
    // Another api made it in the meantime.
    const theirs = isServiceError(error) && error.code === 'ALREADY_EXISTS' ? await apiDb.cellMappings.findByName(cell.name) : null;
    if (theirs === null) throw error;
    return theirs.uuid;
  }
}
