/**
 * Who did what with which console: one JSON line an event, in a file of its own that is only ever appended to. The
 * log is for whoever runs the services; this is for whoever asks a year later. Lines hold no token and no secret: what
 * has such a name is left out before a line is written.
 */
import { closeSync, fstatSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from './clock.ts';
import { redactFields } from './redact.ts';

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
}

export interface Audit {
  /** Returns when the line is with the system: what was answered afterwards has been written down before. */
  write(event: AuditEvent, facts: AuditFacts): void;
}

/** For tests and for whoever switched it off. */
export const noAudit: Audit = { write() {} };

const FILE_MODE = 0o600;

export class AuditFile implements Audit {
  readonly #path: string;
  readonly #service: string;
  readonly #clock: Clock;
  #descriptor: number;

  /** `service`: who writes, in each line. Throws what the system says of a path that cannot be appended to. */
  constructor(path: string, service: string, clock: Clock) {
    this.#path = path;
    this.#service = service;
    this.#clock = clock;
    mkdirSync(dirname(path), { recursive: true });
    this.#descriptor = openSync(path, 'a', FILE_MODE);
  }

  write(event: AuditEvent, facts: AuditFacts): void {
    const line = { time: this.#clock.now().toISOString(), event, service: this.#service, ...(redactFields(facts) as object) };
    this.#followRotation();
    // One write a line: lines of several processes do not mix.
    writeSync(this.#descriptor, `${JSON.stringify(line)}\n`);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** A rotation renames the file; what comes next belongs into a new one of the old name. */
  #followRotation(): void {
    const there = statSync(this.#path, { throwIfNoEntry: false });
    const { ino, dev } = fstatSync(this.#descriptor);
    if (there !== undefined && there.ino === ino && there.dev === dev) return;
    closeSync(this.#descriptor);
    this.#descriptor = openSync(this.#path, 'a', FILE_MODE);
  }
}
