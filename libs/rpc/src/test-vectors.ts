/** The recordings that the tests read. */
import { readFileSync } from 'node:fs';

export interface RecordedFrame {
  readonly method?: string;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly body?: string;
  readonly oslo_message_json?: Readonly<Record<string, unknown>>;
}

export interface Recording {
  readonly frames: readonly RecordedFrame[];
  readonly [name: string]: unknown;
}

export function readRecording(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`../test-vectors/${name}.json`, import.meta.url), 'utf8')) as Recording;
}

/** What a side published, with a body that is text. */
export function publishedIn(name: string): readonly Required<Pick<RecordedFrame, 'args' | 'properties' | 'body'>>[] {
  return readRecording(name).frames.flatMap(({ method, args, properties, body }) =>
    method === 'basic.publish' && args && properties && body ? [{ args, properties, body }] : [],
  );
}
