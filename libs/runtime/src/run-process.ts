// The life of a process, the same for every app: read the configuration, open the operator's door,
// start, serve, drain on a signal, exit with a code that says how it went. What a person did wrong
// (a setting, a taken port) is one line on stderr; what the code did wrong is logged with its stack.

import { isatty } from 'node:tty';
import { z } from 'zod';
import { isServiceError } from '@gatehouse/errors/service-error';
import type { App } from './app.ts';
import { systemClock, type Clock } from './clock.ts';
import { readConfig, type ConfigShape, type Environment } from './config.ts';
import { LOG_LEVELS, createLogger, type Logger } from './logger.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { startOpsServer, type OpsServer } from './ops-server.ts';
import { redactText } from './redact.ts';
import { address, choice, port } from './settings.ts';
import { variableName } from './variables.ts';
import { VERSION } from './version.ts';

/** The settings that every process has; an app's shape may give them other defaults. */
export const processSettings = {
  bindAddress: address('127.0.0.1'),
  opsPort: port(9464),
  logLevel: choice(LOG_LEVELS, 'info'),
};
export type ProcessConfig = Readonly<z.output<z.ZodObject<typeof processSettings>>>;

/** What a process hands to its start function. */
export interface Boot<C> {
  readonly config: C & ProcessConfig;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /**
   * Aborts when the process is told to stop before its start has finished, and only then. Whatever the start waits
   * for without a signal of its own must be closed then: a transport whose broker is not there.
   */
  readonly signal: AbortSignal;
}

export interface ProcessOptions<S extends ConfigShape> {
  /** The app's name; logs and metrics say `gatehouse-<name>`. */
  readonly name: string;
  readonly env: Environment;
  readonly config: S;
  readonly start: (boot: Boot<Readonly<z.output<S>>>) => Promise<App>;
  /** Runs once the app serves and /readyz asks it. */
  readonly started?: (app: App, opsUrl: string) => void | Promise<void>;
  /**
   * Runs when the configuration is read and nothing is opened yet; may refuse by throwing, and answers the
   * configuration to go on with.
   */
  readonly prepare?: (config: Readonly<z.output<S>> & ProcessConfig) => Promise<Readonly<z.output<S>> & ProcessConfig>;
  /** Time for draining after the first signal; 10 s. A function where a setting decides. */
  readonly drainTimeoutMs?: number | ((config: Readonly<z.output<S>>) => number);
  /** File descriptor of the log: 1 unless stdout is for people. */
  readonly logTo?: 1 | 2;
}

interface Running {
  readonly service: string;
  readonly log: Logger;
  readonly drainTimeoutMs: number;
  readonly stopping: AbortController;
  /** Aborted with `stopping`, but only while the app starts: one that serves still needs what it stands on. */
  readonly callingOff: AbortController;
  ops: OpsServer | null;
  app: App | null;
}

/**
 * Runs an app until SIGTERM or SIGINT (or SIGHUP, unless the app reloads its files by it), then drains it and exits 0; 1 when it could not start, did not
 * drain in time or failed in the middle. A second signal exits at once. Never rejects.
 */
export async function runProcess<S extends ConfigShape>(options: ProcessOptions<S>): Promise<void> {
  const service = `gatehouse-${options.name}`;
  let shown: Readonly<Record<string, unknown>> = {};
  try {
    const warnings: string[] = [];
    const shape = z.object({ ...processSettings, ...options.config.shape });
    const config = readConfig(shape, options.env, (message) => warnings.push(message)) as Boot<Readonly<z.output<S>>>['config'];
    shown = config;
    const logTo = options.logTo ?? 1;
    const pretty = isatty(logTo);
    const color = pretty && (options.env['NO_COLOR'] ?? '') === '';
    const log = createLogger({ service, level: config.logLevel, pretty, color, destination: logTo });
    for (const message of warnings) log.warn(message);
    await run(options, service, (await options.prepare?.(config)) ?? config, log);
  } catch (error) {
    failStart(service, error, shown);
  }
}

async function run<S extends ConfigShape>(
  options: ProcessOptions<S>,
  service: string,
  config: Boot<Readonly<z.output<S>>>['config'],
  log: Logger,
): Promise<void> {
  const { drainTimeoutMs: drainTime = 10_000 } = options;
  const drainTimeoutMs = typeof drainTime === 'function' ? drainTime(config) : drainTime;
  const running: Running = { service, log, drainTimeoutMs, stopping: new AbortController(), callingOff: new AbortController(), ops: null, app: null };
  const metrics = createMetrics(service);
  exitOnUnhandled(log);
  const starting = (async () => {
    const { opsPort, bindAddress } = config;
    running.ops = await startOpsServer({ port: opsPort, bindAddress, service, version: VERSION, metrics, log });
    const { signal } = running.callingOff;
    signal.throwIfAborted();
    running.app = await options.start({ config, log, metrics, clock: systemClock, signal });
  })();
  drainOnSignal(running, starting);
  try {
    await starting;
  } catch (error) {
    if (running.stopping.signal.aborted) return;
    throw error;
  }
  if (running.stopping.signal.aborted || running.app === null || running.ops === null) return;
  running.ops.serve(running.app);
  log.info({ addresses: running.app.addresses, ops: running.ops.url, version: VERSION }, 'ready');
  await options.started?.(running.app, running.ops.url);
}

// A Ctrl-C reaches the whole foreground group, and a launcher may pass its own copy on: two signals this
// close together are one.
const SAME_SIGNAL_MS = 250;

function drainOnSignal(running: Running, starting: Promise<void>): void {
  let firstMs = Number.POSITIVE_INFINITY;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (running.stopping.signal.aborted) {
      if (performance.now() - firstMs < SAME_SIGNAL_MS) return;
      running.log.warn({ signal }, 'second signal: exiting at once');
      process.exit(signal === 'SIGINT' ? 130 : 143);
    }
    firstMs = performance.now();
    running.log.info({ signal }, 'draining');
    running.stopping.abort();
    if (running.app === null) running.callingOff.abort();
    void drain(running, starting).then((code) => process.exit(code));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  // SIGHUP from a terminal: it is gone, and so is whoever could have said goodbye. Where there never was one it asks to read files again.
  const hasTerminal = [0, 1, 2].some((fd) => isatty(fd));
  process.on('SIGHUP', (signal) => {
    const reload = running.stopping.signal.aborted || hasTerminal ? undefined : running.app?.reload;
    if (reload === undefined) return onSignal(signal);
    running.log.info({ signal }, 'reading files again');
    reload.call(running.app).catch((error: unknown) => running.log.error({ err: error }, 'files could not be read again'));
  });
}

/** Drains within the time limit; resolves with the process's exit code. */
async function drain(running: Running, starting: Promise<void>): Promise<number> {
  const { log, drainTimeoutMs } = running;
  running.ops?.draining();
  const work = (async () => {
    // A start that is being called off usually fails; that is no news.
    await starting.catch((error: unknown) => log.debug({ err: error }, 'start called off'));
    await running.app?.drain();
    await running.ops?.close();
    return true;
  })();
  const late = new Promise<false>((resolve) => setTimeout(() => resolve(false), drainTimeoutMs).unref());
  try {
    if (await Promise.race([work, late])) {
      log.info('stopped');
      return 0;
    }
    log.error({ drainTimeoutMs }, 'did not drain in time');
  } catch (error) {
    log.error({ err: error }, 'did not drain cleanly');
  }
  return 1;
}

// After either, nothing is known of the program's state: say what happened and leave.
function exitOnUnhandled(log: Logger): void {
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception: exiting');
    process.exit(1);
  });
  process.on('unhandledRejection', (reason) => {
    log.fatal({ err: reason }, 'unhandled rejection: exiting');
    process.exit(1);
  });
}

function failStart(service: string, error: unknown, config: Readonly<Record<string, unknown>>): never {
  const words = explainStartFailure(error, config);
  const stack = words === null && error instanceof Error ? error.stack : null;
  process.stderr.write(redactText(`${service}: cannot start: ${words ?? stack ?? String(error)}\n`));
  process.exit(1);
}

/**
 * What a person can do about a failed start, in one line, or null when the failure is not one that they
 * can mend. `config` tells which variable set a taken port.
 */
export function explainStartFailure(error: unknown, config: Readonly<Record<string, unknown>>): string | null {
  if (isServiceError(error)) return error.message;
  if (!(error instanceof Error)) return null;
  const { code, address: host, port: number } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  if (code !== undefined && number !== undefined && ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL'].includes(code)) {
    return explainListenFailure(code, host ?? 'this machine', number, config);
  }
  return error.cause === undefined ? null : explainStartFailure(error.cause, config);
}

function explainListenFailure(
  code: string,
  host: string,
  number: number,
  config: Readonly<Record<string, unknown>>,
): string {
  const key = Object.keys(config).find((name) => name.endsWith('Port') && config[name] === number);
  const variable = key === undefined ? 'its setting' : variableName(key);
  switch (code) {
    case 'EADDRINUSE':
      return `port ${number} on ${host} is taken: stop the process that uses it, or set ${variable} to another port`;
    case 'EACCES':
      return `port ${number} on ${host} may not be used by this user: set ${variable} to a port above 1023`;
    default:
      return `${host} is not an address of this machine: set ${variableName('bindAddress')} to one that is`;
  }
}
