/**
 * Moments as oslo writes them, `2026-07-01T12:00:00Z`: to the second, in UTC unless they were read with an offset.
 *
 * Read is what Python's iso8601 reads: with Z, an offset or nothing (then UTC); a space for the T; without
 * separators; shortened down to the year; fractions of a second. Also `UTC+02:00`, which oslo writes for Python's
 * own fixed offsets and cannot read. An offset is kept beside the Date, for oslo writes a moment as it was read.
 */

const ISO8601 =
  /^(\d{4})(?:(?:-(\d{1,2})|(\d\d)(?!$))(?:(?:-(\d{1,2})|(\d\d))(?:[ T](\d\d)(?::?(\d\d)(?::?(\d{1,2})(?:[.,](\d+))?)?)?(?:Z|(?:UTC)?([-+])(\d\d):?(\d\d)?)?)?)?)?$/;
const CANONICAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const [ZERO, DASH, T, COLON, Z] = [48, 45, 84, 58, 90];
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** From the 1st of March of the year 0, and the day that is counted from 1. */
const DAYS_TO_1970 = 719_469;
const OFFSET_MINUTES_MAX = 24 * 60 - 1;

interface Zone {
  readonly offsetMs: number;
  /** `+02:00` */
  readonly text: string;
}

/** Touched only for moments that came with an offset. */
const ZONES = new WeakMap<Date, Zone>();

/** Null when the text is no moment of the years 1 to 9999. */
export function parseDatetime(text: string): Date | null {
  // Nearly every text has oslo's own form, and taking its digits is four times faster than the general pattern.
  if (CANONICAL.test(text)) {
    return moment(digits(text, 0) * 100 + digits(text, 2), digits(text, 5), digits(text, 8), digits(text, 11), digits(text, 14), digits(text, 17), 0);
  }
  const parts = ISO8601.exec(text);
  if (parts === null) return null;
  const number = (value: string | undefined, fallback: number): number => (value === undefined ? fallback : Number(value));
  const [month, day] = [number(parts[2] ?? parts[3], 1), number(parts[4] ?? parts[5], 1)];
  const date = moment(Number(parts[1]), month, day, number(parts[6], 0), number(parts[7], 0), number(parts[8], 0), milliseconds(parts[9]));
  return date === null || parts[10] === undefined ? date : zoned(date, parts[10], Number(parts[11]), number(parts[12], 0));
}

/** The two digits at a place. */
function digits(text: string, at: number): number {
  return (text.charCodeAt(at) - ZERO) * 10 + text.charCodeAt(at + 1) - ZERO;
}

/** In UTC; null when the calendar or the clock has no such moment. */
function moment(year: number, month: number, day: number, hour: number, minute: number, second: number, ms: number): Date | null {
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59) return null;
  return new Date(daysSince1970(year, month, day) * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS + second * 1_000 + ms);
}

/** Of the Gregorian calendar, by years that begin in March, so that the leap day is the last; Date.UTC takes ten times as long. */
function daysSince1970(year: number, month: number, day: number): number {
  const years = month > 2 ? year : year - 1;
  const daysBefore = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5);
  return years * 365 + Math.floor(years / 4) - Math.floor(years / 100) + Math.floor(years / 400) + daysBefore + day - DAYS_TO_1970;
}

function daysIn(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}

function milliseconds(fraction: string | undefined): number {
  return fraction === undefined ? 0 : Number(fraction.slice(0, 3).padEnd(3, '0'));
}

function zoned(local: Date, sign: string, hours: number, minutes: number): Date | null {
  const offset = hours * 60 + minutes;
  if (offset > OFFSET_MINUTES_MAX) return null;
  const offsetMs = (sign === '-' ? -offset : offset) * MINUTE_MS;
  const date = new Date(local.getTime() - offsetMs);
  ZONES.set(date, { offsetMs, text: `${sign}${String(hours).padStart(2, '0')}:${String(minutes).padStart(2, '0')}` });
  return date;
}

/** Null when Python could not read it: an invalid Date, or one outside of the years 1 to 9999. */
export function formatDatetime(date: Date): string | null {
  const zone = ZONES.get(date);
  return zone === undefined ? secondsText(date) : secondsText(new Date(date.getTime() + zone.offsetMs), zone.text);
}

function secondsText(date: Date, zone?: string): string | null {
  const year = date.getUTCFullYear();
  if (!(year >= 1 && year <= 9999)) return null;
  const [century, month, day] = [Math.floor(year / 100), date.getUTCMonth() + 1, date.getUTCDate()];
  const [hour, minute, second] = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()];
  // One call makes one flat text; pieces put together cost again when JSON is made of them.
  const text = String.fromCharCode(
    tens(century), ones(century), tens(year % 100), ones(year), DASH, tens(month), ones(month), DASH, tens(day), ones(day), T,
    tens(hour), ones(hour), COLON, tens(minute), ones(minute), COLON, tens(second), ones(second), Z,
  );
  return zone === undefined ? text : text.slice(0, -1) + zone;
}

function tens(n: number): number {
  return ZERO + Math.floor(n / 10);
}

function ones(n: number): number {
  return ZERO + (n % 10);
}
