// Something to look at on the first start: a key pair and two instances, made once, through the api. Who
// deletes them does not see them come back: a note in the data directory says that they were made.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceError, isServiceError } from '@gatehouse/errors/service-error';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import { waitFor } from '@gatehouse/runtime/wait-for';
import type { Caller, ComputeApi } from './compute-api.ts';

export const DEMO_CALLER: Caller = { userId: 'demo', projectId: 'demo' };
const KEY_NAME = 'demo-key';
const INSTANCE_NAMES = ['demo-1', 'demo-2'];
const NOTE_FILE = 'demo-made';

// A simulated guest takes no time; a real one under emulation a few seconds.
const BUILD_TIMEOUT_MS = 60_000;
const BUILD_POLL_MS = 50;
// Until the compute agent has reported itself, no host is known.
const HOST_TIMEOUT_MS = 15_000;

export interface DemoMaker {
  readonly api: ComputeApi;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Makes the demo's key pair and instances unless that was done before, and waits until they run. The private
 * key is kept beside the data, readable by its owner alone. Safe to repeat after a start that broke off.
 */
export async function makeDemoOnce({ api, dataDir, clock, log }: DemoMaker): Promise<void> {
  const note = join(dataDir, NOTE_FILE);
  if (existsSync(note)) return;
  if (!(await api.hasKeyPair(DEMO_CALLER, KEY_NAME))) {
    const privateKey = await api.makeKeyPair(DEMO_CALLER, KEY_NAME);
    writeFileSync(join(dataDir, `${KEY_NAME}.pem`), privateKey, { mode: 0o600 });
  }
  const there = new Set<string>();
  for (const { id, name, status } of await api.listServers(DEMO_CALLER)) {
    // What stood in the way of an earlier start may be mended by now.
    if (INSTANCE_NAMES.includes(name) && status === 'ERROR') await api.deleteServer(DEMO_CALLER, id);
    else there.add(name);
  }
  for (const name of INSTANCE_NAMES) {
    if (there.has(name)) continue;
    await waitFor({
      what: `a host for ${name}`, clock, log, timeoutMs: HOST_TIMEOUT_MS,
      attempt: () => api.makeServer(DEMO_CALLER, { name, key_name: KEY_NAME }),
      isFinal: (error) => !isServiceError(error) || error.code !== 'UNAVAILABLE',
    });
  }
  await waitUntilActive(api, clock);
  writeFileSync(note, 'The demo instances were made; remove this file to have them made again.\n');
}

async function waitUntilActive(api: ComputeApi, clock: Clock): Promise<void> {
  const deadlineMs = clock.now().getTime() + BUILD_TIMEOUT_MS;
  for (;;) {
    const waiting = (await api.listServers(DEMO_CALLER))
      .filter(({ name, status }) => INSTANCE_NAMES.includes(name) && status !== 'ACTIVE');
    if (waiting.length === 0) return;
    const broken = waiting.find(({ status }) => status === 'ERROR');
    if (broken !== undefined) throw new ServiceError('FAILED_PRECONDITION', `${broken.name} could not be built`);
    if (clock.now().getTime() > deadlineMs) {
      const names = waiting.map(({ name }) => name).join(', ');
      throw new ServiceError('DEADLINE_EXCEEDED', `${names} did not start within ${BUILD_TIMEOUT_MS / 1000} s`);
    }
    await clock.sleep(BUILD_POLL_MS);
  }
}
