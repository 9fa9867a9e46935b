// One process, one configuration: the settings of all apps side by side, with defaults for one machine and
// one person. The settings of the broker and the databases are absent, because both are inside.

import { resolve } from 'node:path';
import { z } from 'zod';
import { apiConfig } from '@gatehouse/api/config';
import { computeAgentConfig } from '@gatehouse/compute-agent/config';
import { consoleProxyConfig } from '@gatehouse/console-proxy/config';
import { consoleAuthConfig } from '@gatehouse/consoleauth/config';
import { compute } from '@gatehouse/contracts/compute';
import { consoleProxy } from '@gatehouse/contracts/console-proxy';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { metadataConfig } from '@gatehouse/metadata/config';
import { choice, durationSeconds, orNull, port, rpcLevel, secretList, text, url } from '@gatehouse/runtime/config';
import { LOG_LEVELS } from '@gatehouse/runtime/logger';
import { processSettings } from '@gatehouse/runtime/run-process';

export const standaloneConfig = z.object({
  ...apiConfig.shape,
  ...computeAgentConfig.shape,
  ...consoleProxyConfig.shape,
  ...consoleAuthConfig.shape,
  ...metadataConfig.shape,
  ...processSettings,
  dataDir: text('a folder', '.gatehouse'),
  apiPort: port(8774),
  proxyPort: port(6080),
  metadataPort: port(8775),
  /** Follows proxyPort unless told. */
  proxyBaseUrl: orNull(url(['http', 'https'])),
  /** Made and kept in the data directory unless told. */
  metadataSecrets: orNull(secretList()),
  /** Half a day: the URLs are printed for the person who started this. */
  consoleTokenTtl: durationSeconds(43_200, { min: 1, max: 86_400 }),
  /** One process is one release: nobody older is there to ask about. */
  rpcPinCompute: rpcLevel(compute, compute.version),
  rpcPinConsoleauth: rpcLevel(consoleauth, consoleauth.version),
  rpcPinConsoleProxy: rpcLevel(consoleProxy, consoleProxy.version),
  /** The terminal is for the person; the log speaks up when something is wrong. */
  logLevel: choice(LOG_LEVELS, 'warn'),
});
export type StandaloneConfig = Readonly<z.output<typeof standaloneConfig>>;

/** The data directory as an absolute path. */
export function dataDirOf(config: Pick<StandaloneConfig, 'dataDir'>): string {
  return resolve(config.dataDir);
}

/** The address under which this machine reaches what listens on `bindAddress`. */
export function localHost(bindAddress: string): string {
  if (bindAddress === '0.0.0.0') return '127.0.0.1';
  if (bindAddress === '::') return '[::1]';
  return bindAddress.includes(':') ? `[${bindAddress}]` : bindAddress;
}
