/**
 * Events of console sessions as server-sent events (WHATWG HTML 9.2). Each has its place as its id, so that a client that
 * was cut off goes on from there; a stream on which nothing happens still moves its place, and shows that it lives. What
 * a client does not read is not fetched for it either, and one that reads nothing for long is let go.
 */
import type { ServerResponse } from 'node:http';
import { toServiceError } from '@gatehouse/errors/service-error';
import type { ConsoleSessionEvents } from '@gatehouse/objects/console-session-events';
import type { Clock } from '@gatehouse/runtime/clock';
import type { SessionWatch } from '../../session-feed.ts';
import { eventView } from './session-view.ts';

const HEARTBEAT_MS = 15_000;
/** A client that takes nothing off its connection for this long is let go. */
const READER_MS_MAX = 10_000;
/** Whoever watches shows a token again after this: nothing else would notice that it counts no more. */
const STREAM_MS_MAX = 3_600_000;
const RETRY_MS = 1_000;
/** At most: it goes on at once when consoleauth is back. */
const PAUSE_AFTER_FAILURE_MS = 2_000;

export interface EventStreamOptions {
  readonly watch: SessionWatch;
  /** What was there when it began. */
  readonly first: ConsoleSessionEvents;
  readonly isAdmin: boolean;
  readonly clock: Clock;
  /** Unless told: 15 s, and 10 s for a client that reads nothing. */
  readonly heartbeatMs?: number;
  readonly readerMsMax?: number;
}

/** Resolves when the stream is over, whoever ended it; never rejects. The head has been written. */
export async function streamEvents(response: ServerResponse, options: EventStreamOptions): Promise<void> {
  const { watch, isAdmin, clock, heartbeatMs = HEARTBEAT_MS } = options;
  const until = performance.now() + STREAM_MS_MAX;
  const write = writerOf(response, clock, options.readerMsMax ?? READER_MS_MAX);
  const leave = (): void => watch.close();
  response.once('close', leave);
  let text = `retry: ${RETRY_MS}\n${eventsText(options.first, isAdmin)}`;
  while ((await write(text)) && !watch.isClosed && performance.now() < until) {
    try {
      text = eventsText(await watch.next(heartbeatMs), isAdmin);
    } catch (thrown) {
      const error = toServiceError(thrown);
      if (watch.isClosed || error.code === 'INVALID_ARGUMENT') break;
      text = `: ${error.message.replaceAll(/\s+/g, ' ')}\n\n`;
      await watch.changed(PAUSE_AFTER_FAILURE_MS);
    }
  }
  watch.close();
  if (!response.destroyed) response.end();
}

/** The events, or where nothing happened the place alone. */
function eventsText({ events, cursor }: ConsoleSessionEvents, isAdmin: boolean): string {
  const texts = events.map((event) => `id: ${event.cursor}\nevent: ${event.kind}\ndata: ${JSON.stringify(eventView(event, isAdmin))}\n\n`);
  return `${texts.join('')}: alive\nid: ${cursor}\n\n`;
}

/** Resolves with whether the client is still there, once it has room for more. */
function writerOf(response: ServerResponse, clock: Clock, readerMsMax: number): (text: string) => Promise<boolean> {
  return async (text) => {
    if (response.destroyed) return false;
    if (response.write(text)) return true;
    const moved = new AbortController();
    const move = (): void => moved.abort();
    response.once('drain', move).once('close', move);
    await clock.sleep(readerMsMax, moved.signal);
    response.off('drain', move).off('close', move);
    if (!moved.signal.aborted) response.destroy();
    return !response.destroyed;
  };
}
