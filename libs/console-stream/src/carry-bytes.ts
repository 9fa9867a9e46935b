/** Two streams as one: what each gives goes to the other, and is read no faster than the other takes it. */
import type { Duplex } from 'node:stream';
import { readBytes } from './byte-reader.ts';

/** The ends of the two are their owner's business. */
export function carryBytes(one: Duplex, other: Duplex): void {
  carryFrom(one, other);
  carryFrom(other, one);
}

function carryFrom(source: Duplex, sink: Duplex): void {
  let isAwaited = false;
  const resume = (): void => {
    if (!isAwaited || (sink.writableLength > 0 && !sink.destroyed)) return;
    isAwaited = false;
    reader.resume();
  };
  const reader = readBytes(source, (whole, start) => {
    // Nobody is left to take it; the source is read on, so that its end is seen.
    if (sink.writableEnded || sink.destroyed) return true;
    sink.write(start === 0 ? whole : whole.subarray(start), resume);
    isAwaited = sink.writableLength > 0;
    return !isAwaited;
  });
  sink.once('close', resume);
}
