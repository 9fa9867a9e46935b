/**
 * Who did what with which console: one JSON line an event, in a file of its own that is only ever appended to. The
 * log is for whoever runs the services; this is for whoever asks a year later. Lines hold no token and no secret: what
 * has such a name is left out before a line is written, and the line is searched once more.
 *
 * When the disk is full consoles go on, because they are what broken machines are repaired with, and because nobody may lock
 * everybody out by filling a disk with refusals. A line that cannot be written goes to the log instead, at once, and is
 * written later when that is possible again. GATEHOUSE_AUDIT_REQUIRED decides it the other way.
 */
import { closeSync, fstatSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Clock } from './clock.ts';
import type { Logger } from './logger.ts';
import { redactFields, redactText } from './redact.ts';
import { RefusalLimit } from './refusal-limit.ts';
import { flag, orNull, text } from './settings.ts';

/** A connect that was refused has no session; an authorization has no session yet. */
export const AUDIT_EVENTS = ['authorized', 'connected', 'resumed', 'refused', 'ended'] as const;
export type AuditEvent = (typeof AUDIT_EVENTS)[number];

/** What is known of it; absent means not known. Durations in seconds, counts in bytes. */
export interface AuditFacts {
  readonly requestId?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly instanceUuid?: string | undefined;
  readonly consoleType?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly proxy?: string | undefined;
  readonly clientAddress?: string | undefined;
  readonly userId?: string | null | undefined;
  readonly projectId?: string | null | undefined;
  readonly access?: string | undefined;
  /** Why: a reason for an end (endings.ts), a code for a refusal (service-error.ts). */
  readonly reason?: string | undefined;
  /** The refusal's words. */
  readonly problem?: string | undefined;
  readonly seconds?: number | undefined;
  readonly bytesIn?: number | undefined;
  readonly bytesOut?: number | undefined;
  /** Refusals of this address or user that have no line of their own (refusal-limit.ts). */
  readonly leftOut?: number | undefined;
}

export interface Audit {
  /** Returns when the line is with the system: what is answered afterwards has been written down before. Never throws. */
  write(event: AuditEvent, facts: AuditFacts): void;
  /** Before somebody gets a new console. @throws ServiceError UNAVAILABLE: lines cannot be written, and they are required */
  check(): void;
}

/** For tests and for whoever switched it off. */
export const noAudit: Audit = { write() {}, check() {} };

export const auditSettings = {
  /** The file of the audit; audit.jsonl in the data directory unless told, `off` for none. */
  auditFile: orNull(text('the path of a file, or off')),
  /** Give nobody a new console while the audit cannot be written. */
  auditRequired: flag(false),
  dataDir: text('a folder', '.gatehouse'),
};

export interface AuditConfig {
  readonly auditFile: string | null;
  readonly auditRequired: boolean;
  readonly dataDir: string;
}

export interface OpenedAudit extends Audit {
  close(): Promise<void>;
}

/**
 * The audit as the settings say; `service` is who writes.
 * @throws ServiceError INVALID_ARGUMENT: its file cannot be appended to, which is better known at the start than at night
 */
export function openAudit(config: AuditConfig, service: string, clock: Clock, log: Logger): OpenedAudit {
  if (config.auditFile === 'off') return { ...noAudit, async close() {} };
  const path = config.auditFile ?? join(resolve(config.dataDir), 'audit.jsonl');
  try {
    return withRefusalLimit(new AuditFile(path, { service, isRequired: config.auditRequired, clock, log }), clock);
  } catch (cause) {
    const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new ServiceError('INVALID_ARGUMENT', `GATEHOUSE_AUDIT_FILE is ${path}, which cannot be appended to (${reason}): set a file that can, or off`, { cause });
  }
}

function withRefusalLimit(file: AuditFile, clock: Clock): OpenedAudit {
  const limit = new RefusalLimit(file, clock);
  return {
    write: (event, facts) => limit.write(event, facts),
    check: () => limit.check(),
    async close() {
      limit.flush();
      await file.close();
    },
  };
}

interface AuditFileOptions {
  /** Who writes, in each line. */
  readonly service: string;
  readonly isRequired?: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** Lines that wait for the disk; what comes beyond is in the log alone. */
const WAITING_MAX = 1_000;

export class AuditFile implements OpenedAudit {
  readonly #path: string;
  readonly #options: AuditFileOptions;
  #descriptor: number;
  /** What a write of half a line left behind gets a line of its own. */
  #isTorn = false;
  #waiting: string[] = [];

  /** Throws what the system says of a path that cannot be appended to. */
  constructor(path: string, options: AuditFileOptions) {
    this.#path = path;
    this.#options = options;
    mkdirSync(dirname(path), { recursive: true, mode: FOLDER_MODE });
    this.#descriptor = openSync(path, 'a', FILE_MODE);
  }

  write(event: AuditEvent, facts: AuditFacts): void {
    const { clock, service, log } = this.#options;
    const fields = { time: clock.now().toISOString(), event, service, ...(redactFields(facts) as object) };
    this.#waiting.push(`${redactText(JSON.stringify(fields))}\n`);
    const problem = this.#writeWaiting();
    if (problem === null) return;
    log.error({ err: problem, audit: fields }, 'an audit line could not be written; it stands here instead');
    if (this.#waiting.length > WAITING_MAX) this.#waiting = this.#waiting.slice(-WAITING_MAX);
  }

  check(): void {
    if (!this.#options.isRequired || this.#writeWaiting() === null) return;
    throw new ServiceError('UNAVAILABLE', 'no console can be opened at the moment, because it could not be written down; tell an operator that the audit file cannot be written');
  }

  async close(): Promise<void> {
    this.#writeWaiting();
    closeSync(this.#descriptor);
  }

  /** @returns what is in the way, or null when no line waits any more */
  #writeWaiting(): unknown {
    const count = this.#waiting.length;
    try {
      if (count > 0) this.#followRotation();
      for (let line = this.#waiting[0]; line !== undefined; line = this.#waiting[0]) {
        this.#append(line);
        this.#waiting.shift();
      }
    } catch (error) {
      return error;
    }
    if (count > 1) this.#options.log.info({ lines: count }, 'the audit file can be written again; what waited has been');
    return null;
  }

  /** One write a line: lines of several processes do not mix. */
  #append(line: string): void {
    const bytes = Buffer.from(this.#isTorn ? `\n${line}` : line);
    const written = writeSync(this.#descriptor, bytes);
    if (written > 0) this.#isTorn = written < bytes.length;
    if (written < bytes.length) throw new Error(`only ${written} of ${bytes.length} bytes were written`);
  }

  /** A rotation renames the file; what comes next belongs into a new one of the old name. */
  #followRotation(): void {
    const there = statSync(this.#path, { throwIfNoEntry: false });
    const { ino, dev } = fstatSync(this.#descriptor);
    if (there !== undefined && there.ino === ino && there.dev === dev) return;
    const successor = openSync(this.#path, 'a', FILE_MODE);
    closeSync(this.#descriptor);
    this.#descriptor = successor;
    this.#isTorn = false;
  }
}
