import { compute } from '@gatehouse/contracts/compute';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { brokerSettings } from '@gatehouse/runtime/broker';
import { choice, csv, flag, integer, port, rpcLevel, secretUrl, secretUrls } from '@gatehouse/runtime/config';
import { address } from '@gatehouse/runtime/settings';
import { z } from 'zod';
import { GENERATED_SSH_KEYS } from './key-generation.ts';

/** What decides how the API answers; the same in a process of its own and in the standalone. */
export const apiConfig = z.object({
  apiPort: port(8774),
  bindAddress: address('127.0.0.1'),
  /** Host names under which the API may be called, besides loopback names. */
  apiHosts: csv([]),
  /** Serve with identity `none`, which believes every token, also where others can reach it. */
  insecureNoAuth: flag(false),
  /** Most key pairs of one user; -1 for no limit. */
  keyPairsMax: integer({ min: -1, max: 1_000_000, fallback: 100 }),
  /** Import DSA keys and RSA keys below 2048 bits too. */
  allowWeakKeys: flag(false),
  /** What kind of key an ssh key pair is that the service makes itself. */
  generatedSshKeys: choice(GENERATED_SSH_KEYS, 'rsa'),
  /** The levels spoken to compute agents and to consoleauth. */
  rpcPinCompute: rpcLevel(compute),
  rpcPinConsoleauth: rpcLevel(consoleauth),
});
export type ApiConfig = z.output<typeof apiConfig>;

/** What a process of its own needs besides. */
export const apiProcessConfig = apiConfig.extend({
  ...brokerSettings,
  apiDatabaseUrl: secretUrl(['postgresql', 'postgres']),
  cellDatabaseUrl: secretUrl(['postgresql', 'postgres']),
  /** Of further cells, whose legacy key pairs are read and deleted too until they have moved. */
  legacyCellDatabaseUrls: secretUrls(['postgresql', 'postgres'], []),
});
