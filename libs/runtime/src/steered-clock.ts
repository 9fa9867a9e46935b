/**
 * One time for all who judge by it. What has expired is decided by times that stand in the database, written by one
 * process and read by another on another machine; so those processes take their time from that database and not from their
 * machines, whose clocks may differ by minutes.
 *
 * Between two looks the time runs on by the machine's steady clock, which nobody can set. A small difference is taken as
 * it is, but time does not run backwards for it; a large one only when two looks in a row agree, so that one odd answer moves nothing.
 */
import { sleepOn, systemClock } from './clock.ts';
import type { CancelTimer, Clock } from './clock.ts';
import type { Logger } from './logger.ts';
import { periodic } from './periodic.ts';
import type { Periodic } from './periodic.ts';

export interface SteeredClockOptions {
  readonly log: Logger;
  /** The machine's own idea of the time: where it begins, and what is told to be off. */
  readonly machine?: Clock;
  /** Milliseconds from anywhere that run on evenly. */
  readonly steadyMs?: () => number;
}

/** A machine whose clock is further off than this is worth a line in the log. */
const SMALL_MS = 1_000;
/** The quickest of these is believed: the answer was given somewhere within its round trip. */
const SAMPLES = 3;
/** An answer that took longer says too little. */
const ROUND_TRIP_MS_MAX = 1_000;
const LOOK_EVERY_MS = 10_000;
const CONFIRM_AFTER_MS = 1_000;

export class SteeredClock implements Clock {
  readonly #log: Logger;
  readonly #machine: Clock;
  readonly #steadyMs: () => number;
  /** Now is the steady clock and this. */
  #offsetMs: number;
  #lastMs = 0;
  #hasLooked = false;
  #isMachineOff = false;

  constructor({ log, machine = systemClock, steadyMs = () => performance.now() }: SteeredClockOptions) {
    this.#log = log;
    this.#machine = machine;
    this.#steadyMs = steadyMs;
    this.#offsetMs = machine.now().getTime() - steadyMs();
  }

  now(): Date {
    this.#lastMs = Math.max(this.#lastMs, Math.round(this.#steadyMs() + this.#offsetMs));
    return new Date(this.#lastMs);
  }

  after(delayMs: number, work: () => void): CancelTimer {
    return this.#machine.after(delayMs, work);
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepOn((delay, work) => this.after(delay, work), delayMs, signal);
  }

  /** Looks now and every few seconds, until that is stopped. */
  follow(ask: () => Promise<Date>): Periodic {
    return periodic({ name: "look at the database's clock", everyMs: LOOK_EVERY_MS, clock: this.#machine, log: this.#log, work: () => this.look(ask) });
  }

  /** Asks for the time that counts, and takes it. @throws what `ask` throws, Error when its answers are not to be believed; then nothing has moved */
  async look(ask: () => Promise<Date>): Promise<void> {
    let offsetMs = await this.#measure(ask);
    // A database that is busy now is asked again soon; the time that is known runs on.
    if (offsetMs === null && this.#hasLooked) return;
    if (offsetMs === null) throw new Error(`asking for the time took more than ${ROUND_TRIP_MS_MAX} ms, too long to believe the answer`);
    if (this.#hasLooked && Math.abs(offsetMs - this.#offsetMs) > SMALL_MS) {
      await this.sleep(CONFIRM_AFTER_MS);
      const again = (await this.#measure(ask)) ?? Number.NaN;
      if (!(Math.abs(again - offsetMs) <= SMALL_MS)) throw new Error(`the time that counts is not believed: two looks differ by ${Math.round(again - offsetMs)} ms`);
      offsetMs = again;
    }
    this.#follow(offsetMs);
  }

  /** Null when every answer took too long. */
  async #measure(ask: () => Promise<Date>): Promise<number | null> {
    let quickest = { roundTripMs: Number.POSITIVE_INFINITY, offsetMs: 0 };
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      const asked = this.#steadyMs();
      const time = await ask();
      const roundTripMs = this.#steadyMs() - asked;
      if (roundTripMs < quickest.roundTripMs) quickest = { roundTripMs, offsetMs: time.getTime() - (asked + roundTripMs / 2) };
    }
    return quickest.roundTripMs > ROUND_TRIP_MS_MAX ? null : quickest.offsetMs;
  }

  #follow(offsetMs: number): void {
    const movedMs = Math.round(offsetMs - this.#offsetMs);
    this.#offsetMs = offsetMs;
    if (Math.abs(movedMs) > SMALL_MS) {
      // Time itself was set back: whoever stood still until it caught up would stand still for long.
      this.#lastMs = 0;
      if (this.#hasLooked) this.#log.warn({ movedMs }, 'the time of the database has moved; what is judged by it moves along');
    }
    this.#hasLooked = true;
    const machineOffMs = Math.round(this.#machine.now().getTime() - (this.#steadyMs() + offsetMs));
    const isOff = Math.abs(machineOffMs) > SMALL_MS;
    if (isOff !== this.#isMachineOff) {
      if (isOff) this.#log.warn({ machineOffMs }, "this machine's clock differs from the database's by more than a second; the database's counts");
      else this.#log.info({ machineOffMs }, "this machine's clock agrees with the database's again");
    }
    this.#isMachineOff = isOff;
  }
}
