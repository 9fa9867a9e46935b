// The console URLs of all instances, for the person at the terminal: printed, never logged, since each
// opens a console to whoever holds it.

import { toServiceError } from '@gatehouse/errors/service-error';
import type { Caller, ComputeApi, ConsoleKind, Server } from './compute-api.ts';

const ADMIN: Caller = { userId: 'admin', projectId: 'admin' };
const KINDS: readonly ConsoleKind[] = [['vnc', 'novnc'], ['spice', 'spice-html5'], ['serial', 'serial']];
/** Not every host has it, so nothing is said where there is none. */
const RARE: ConsoleKind[0] = 'spice';

/** More than that many would push the first ones off the screen. */
export const INSTANCES_SHOWN_MAX = 10;

/**
 * Opens one console of each kind that each running instance has. @returns lines to print: a URL each, or why
 * there is none
 */
export async function consoleLinks(api: ComputeApi): Promise<readonly string[]> {
  const servers = await api.listAllServers(ADMIN, INSTANCES_SHOWN_MAX + 1);
  const shown = servers.slice(0, INSTANCES_SHOWN_MAX).toSorted((left, right) => left.name.localeCompare(right.name));
  const width = Math.max(0, ...shown.map(({ name }) => name.length));
  const lines: string[] = [];
  for (const server of shown) {
    for (const kind of KINDS) {
      const url = await link(api, server, kind);
      if (url !== null) lines.push(`  ${server.name.padEnd(width)}  ${kind[0].padEnd(6)}  ${url}`);
    }
  }
  if (servers.length > shown.length) lines.push(`  and more: see GET /v2.1/servers`);
  return lines;
}

async function link(api: ComputeApi, server: Server, kind: ConsoleKind): Promise<string | null> {
  if (server.status !== 'ACTIVE') return kind[0] === RARE ? null : `(the instance is ${server.status.toLowerCase()})`;
  try {
    return await api.openConsole(server, server.id, kind);
  } catch (error) {
    return kind[0] === RARE ? null : `(${toServiceError(error).message})`;
  }
}
