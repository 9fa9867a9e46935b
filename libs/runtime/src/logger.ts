// One line of JSON an event: time, level, msg, service, request_id and what the caller adds.
// On a terminal the same lines are printed for people. Secrets are removed on the way (redact.ts).

import pino from 'pino';
import { build as buildPretty } from 'pino-pretty';
import { redactFields, redactText } from './redact.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogMethod {
  (fields: object, message?: string): void;
  (message: string): void;
}

export interface Logger {
  readonly level: LogLevel;
  readonly trace: LogMethod;
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
  readonly fatal: LogMethod;
  /** A logger that adds `fields` to each of its lines, `{ requestId }` for example. */
  child(fields: object): Logger;
}

export interface LoggerOptions {
  /** Who speaks: `gatehouse-api`. */
  readonly service: string;
  readonly level?: LogLevel;
  /** For people instead of machines. */
  readonly pretty?: boolean;
  /** With `pretty`: colours. */
  readonly color?: boolean;
  /** Where lines go: a file descriptor (1 by default) or a stream, as tests use. */
  readonly destination?: number | NodeJS.WritableStream;
}

/**
 * Makes the process's logger. Lines are written synchronously, so that the last words before an exit
 * are not lost. Field names are written in snake_case at the top level.
 */
export function createLogger(options: LoggerOptions): Logger {
  const stream = options.pretty ? prettyStream(options) : plainStream(options.destination ?? 1);
  const root = pino(
    {
      level: options.level ?? 'info',
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: (error: unknown) => error },
      hooks: { streamWrite: redactText },
    },
    stream,
  );
  return wrap(root);
}

/** A logger that says nothing. */
export const silentLogger: Logger = createLogger({ service: 'silent', level: 'silent' });

function plainStream(destination: number | NodeJS.WritableStream): pino.DestinationStream {
  if (typeof destination === 'number') return pino.destination({ dest: destination, sync: true });
  return { write: (line) => void destination.write(line) };
}

// pino-pretty as a plain synchronous stream: its usual form, a worker thread, cannot be bundled and
// loses lines at exit.
function prettyStream(options: LoggerOptions): pino.DestinationStream {
  return buildPretty({
    sync: true,
    colorize: options.color ?? false,
    destination: options.destination ?? 1,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'service,pid,hostname',
    singleLine: true,
    errorLikeObjectKeys: ['err'],
  });
}

// The redaction lives here and not in pino's formatters, which children of a logger do not inherit.
function wrap(inner: pino.Logger): Logger {
  const method = (level: pino.Level): LogMethod =>
    (first: object | string, message?: string) => {
      if (!inner.isLevelEnabled(level)) return;
      if (typeof first === 'string') inner[level](first);
      else inner[level](lineFields(first), message ?? (first instanceof Error ? first.message : undefined));
    };
  return {
    get level() {
      return inner.level as LogLevel;
    },
    trace: method('trace'),
    debug: method('debug'),
    info: method('info'),
    warn: method('warn'),
    error: method('error'),
    fatal: method('fatal'),
    child: (fields) => wrap(inner.child(lineFields(fields))),
  };
}

function lineFields(fields: object): Record<string, unknown> {
  const clean = redactFields(fields instanceof Error ? { err: fields } : fields) as Record<string, unknown>;
  // One by one: Object.fromEntries costs more than all the rest of a line.
  const line: Record<string, unknown> = {};
  for (const name of Object.keys(clean)) line[snakeCase(name)] = clean[name];
  return line;
}

/** Field names are the code's own and so few; what comes beyond that (a header's name) is not remembered. */
const SNAKE_NAMES_MAX = 1_000;
const snakeNames = new Map<string, string>();

function snakeCase(name: string): string {
  const known = snakeNames.get(name);
  if (known !== undefined) return known;
  const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  if (snakeNames.size < SNAKE_NAMES_MAX) snakeNames.set(name, snake);
  return snake;
}
