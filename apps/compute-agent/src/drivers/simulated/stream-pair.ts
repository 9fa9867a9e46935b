/**
 * Two ends of a byte stream inside the process, with the back-pressure and the manners of a socket pair: what one end
 * writes the other reads, and an end that closes, cleanly or not, lets the other read what was under way and then
 * end. (Node's duplexPair does not pass on that an end was destroyed.)
 */
import { Duplex } from 'node:stream';

/** What either end holds unread before its writer has to wait. */
const BUFFER_BYTES = 16 * 1024;

export function streamPair(): [Duplex, Duplex] {
  const near = makeEnd(() => far);
  const far: Duplex = makeEnd(() => near);
  return [near, far];
}

type Written = (error?: Error | null) => void;

/** The write of each end that waits until its peer reads on. */
const waiting = new WeakMap<Duplex, Written>();
/** The ends that were told that no more will come. */
const told = new WeakSet<Duplex>();

function release(end: Duplex): void {
  const written = waiting.get(end);
  waiting.delete(end);
  written?.();
}

function makeEnd(peerOf: () => Duplex): Duplex {
  const end: Duplex = new Duplex({
    highWaterMark: BUFFER_BYTES,
    allowHalfOpen: false,
    read: () => release(peerOf()),
    write(chunk: Buffer, _encoding, written) {
      const peer = peerOf();
      // To a peer that has gone, bytes are lost as on a pulled cable; the end of its data says that it has.
      if (isDeaf(peer) || peer.push(chunk)) written();
      else waiting.set(end, written);
    },
    final(finished) {
      finish(peerOf());
      finished();
    },
    destroy(error, destroyed) {
      const peer = peerOf();
      release(end);
      release(peer);
      finish(peer);
      destroyed(error);
    },
  });
  return end;
}

function isDeaf(end: Duplex): boolean {
  return end.destroyed || told.has(end);
}

/** Tells an end, once, that no more will come. */
function finish(end: Duplex): void {
  if (isDeaf(end)) return;
  told.add(end);
  end.push(null);
}
