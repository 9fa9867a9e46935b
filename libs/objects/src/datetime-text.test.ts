import assert from 'node:assert/strict';
import { formatDatetime, parseDatetime } from './datetime-text.ts';

/** Each as Python's iso8601 and oslo's isotime have it; null where they refuse. */
const READ: readonly (readonly [text: string, written: string | null])[] = [
  ['2026-07-01T12:00:00Z', '2026-07-01T12:00:00Z'],
  ['2026-07-01T12:00:00+00:00', '2026-07-01T12:00:00+00:00'],
  ['2026-07-01T12:00:00-00:30', '2026-07-01T12:00:00-00:30'],
  ['2026-07-01T12:00:00+05', '2026-07-01T12:00:00+05:00'],
  ['2026-07-01T12:00:00-0530', '2026-07-01T12:00:00-05:30'],
  ['2026-07-01T12:00:00+23:59', '2026-07-01T12:00:00+23:59'],
  ['2026-07-01T12:00:00', '2026-07-01T12:00:00Z'],
  ['2026-07-01 12:00:00', '2026-07-01T12:00:00Z'],
  ['2026-07-01T12:00', '2026-07-01T12:00:00Z'],
  ['2026-07-01T12', '2026-07-01T12:00:00Z'],
  ['2026-07-01', '2026-07-01T00:00:00Z'],
  ['2026-7-1', '2026-07-01T00:00:00Z'],
  ['2026-07', '2026-07-01T00:00:00Z'],
  ['2026', '2026-01-01T00:00:00Z'],
  ['20260701', '2026-07-01T00:00:00Z'],
  ['20260701T12', '2026-07-01T12:00:00Z'],
  ['20260701T120000Z', '2026-07-01T12:00:00Z'],
  ['2026-07-01T12:00:00.999999Z', '2026-07-01T12:00:00Z'],
  ['2026-07-01T12:00:00,5Z', '2026-07-01T12:00:00Z'],
  ['2026-07-01T12:00:00.1234567890123Z', '2026-07-01T12:00:00Z'],
  ['1969-12-31T23:59:59.5Z', '1969-12-31T23:59:59Z'],
  ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00Z'],
  ['9999-12-31T23:59:59Z', '9999-12-31T23:59:59Z'],
  // Python 3.11 on Linux writes such years without zeros, and cannot read them again.
  ['0099-03-04T00:00:00Z', '0099-03-04T00:00:00Z'],
  ['2026-07-01T12:00:00UTC+02:00', '2026-07-01T12:00:00+02:00'],
  ['', null],
  ['2026-07-01T', null],
  ['2026-07-01T1:2:3Z', null],
  ['2026-07-01T24:00:00Z', null],
  ['2026-07-01T12:60:00Z', null],
  ['2026-07-01T12:00:60Z', null],
  ['2026-02-29T00:00:00Z', null],
  ['2100-02-29T00:00:00Z', null],
  ['2026-04-31', null],
  ['2026-13-01T00:00:00Z', null],
  ['2026-00-01T00:00:00Z', null],
  ['2026-01-00T00:00:00Z', null],
  ['0000-01-01T00:00:00Z', null],
  ['202607', null],
  ['2026070', null],
  ['2026-07-01t12:00:00z', null],
  ['2026-07-01T12:00:00 Z', null],
  [' 2026-07-01T12:00:00Z', null],
  ['2026-07-01T12:00:00+2:00', null],
  ['2026-07-01T12:00:00+24:00', null],
  ['2026-07-01T12:00:00+99:99', null],
];

describe('a moment as text', () => {
  for (const [text, written] of READ) {
    it(written === null ? `is refused: ${JSON.stringify(text)}` : `is read and written: ${text} as ${written}`, () => {
      const date = parseDatetime(text);
      assert.equal(date === null ? null : formatDatetime(date), written);
    });
  }

  it('is the same moment wherever its offset says it was', () => {
    assert.equal(parseDatetime('2026-07-01T14:00:00.250+02:00')?.toISOString(), '2026-07-01T12:00:00.250Z');
    assert.equal(parseDatetime('2026-07-01T10:30:00-01:30')?.getTime(), Date.parse('2026-07-01T12:00:00Z'));
  });

  it('is not written of what is no moment, or is beyond Python’s years', () => {
    for (const date of [new Date(NaN), new Date('+010000-01-01T00:00:00Z'), new Date('0000-12-31T23:59:59Z'), new Date(8.64e15)]) assert.equal(formatDatetime(date), null);
  });

  it('is written as toISOString writes it, to the second, at any time of the calendar', () => {
    for (let ms = Date.parse('0001-01-01T00:00:00Z'); ms < Date.parse('9999-12-31T00:00:00Z'); ms += 86_400_000 * 977 + 12_345_678) {
      const text = formatDatetime(new Date(ms)) as string;
      assert.equal(text, `${new Date(ms).toISOString().slice(0, 19)}Z`);
      assert.equal(parseDatetime(text)?.getTime(), Math.floor(ms / 1_000) * 1_000);
    }
  });
});
