// Preloaded into a process whose machine has the wrong time: all that it knows of the hour is off by so much.
'use strict';
const RealDate = Date;
const shiftMs = Number(process.env['GATEHOUSE_TEST_CLOCK_SHIFT_MS'] ?? 0);

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + shiftMs);
    else super(...args);
  }

  static now() {
    return RealDate.now() + shiftMs;
  }

  // Dates that the runtime itself makes are dates too.
  static [Symbol.hasInstance](value) {
    return value instanceof RealDate;
  }
};
