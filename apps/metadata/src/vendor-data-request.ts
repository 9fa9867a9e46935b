/**
 * One question to one vendor data target, as Nova puts it: POST, JSON both ways. Its address is never followed elsewhere, its certificate
 * is verified, and time and bytes are bounded. What it says when it fails may be anything: the reasons told here quote nothing of it.
 */
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Clock } from '@gatehouse/runtime/clock';

export interface TargetLimits {
  readonly connectMs: number;
  /** Longest silence once connected. */
  readonly readMs: number;
  /** From the first packet to the last. */
  readonly totalMs: number;
  readonly bodyBytesMax: number;
  /** PEM of who signs the target's certificate; null: whoever Node trusts. */
  readonly ca: Buffer | null;
}

export interface TargetAnswer {
  /** An empty object where the target had nothing to say. */
  readonly value: unknown;
  readonly bytes: number;
  /** As its Cache-Control says; null where it says nothing of it. */
  readonly freshMs: number | null;
}

/** Why a target gave nothing, in words for a log. */
export class TargetFailure extends Error {
  override readonly name = 'TargetFailure';
}

/** @throws TargetFailure */
export async function askTarget(url: string, body: string, limits: TargetLimits, clock: Clock): Promise<TargetAnswer> {
  const ending = new AbortController();
  const end = (reason: string) => () => ending.abort(new TargetFailure(reason));
  const cancel = clock.after(limits.totalMs, end(`no whole answer within ${limits.totalMs / 1_000} s`));
  try {
    return await exchange(url, body, { limits, clock, end, signal: ending.signal });
  } catch (error) {
    throw ending.signal.aborted ? (ending.signal.reason as TargetFailure) : failureOf(error);
  } finally {
    cancel();
    ending.abort();
  }
}

interface Exchange {
  readonly limits: TargetLimits;
  readonly clock: Clock;
  readonly end: (reason: string) => () => void;
  readonly signal: AbortSignal;
}

async function exchange(url: string, body: string, { limits, clock, end, signal }: Exchange): Promise<TargetAnswer> {
  const isSecure = url.startsWith('https:');
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json',
    'user-agent': 'openstack-nova-vendordata',
    'content-length': Buffer.byteLength(body),
  };
  const options = { method: 'POST', agent: false, headers, signal, ...(limits.ca === null ? {} : { ca: limits.ca }) };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = (isSecure ? httpsRequest : httpRequest)(url, options, resolve);
    const cancel = clock.after(limits.connectMs, end(`no connection within ${limits.connectMs / 1_000} s`));
    request.on('error', reject);
    request.on('close', cancel);
    request.on('socket', (socket) => socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      cancel();
      socket.setTimeout(limits.readMs, end(`nothing to read for ${limits.readMs / 1_000} s`));
    }));
    request.end(body);
  });
  const { statusCode = 0 } = response;
  if (statusCode < 200 || statusCode > 299) throw new TargetFailure(`it answered ${statusCode}`);
  const content = await readBody(response, limits.bodyBytesMax);
  return { value: valueOf(content), bytes: content.length, freshMs: freshMsOf(response.headers['cache-control'] ?? '') };
}

async function readBody(response: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new TargetFailure(`its answer is longer than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function valueOf(content: Buffer): unknown {
  if (content.length === 0) return {};
  try {
    return JSON.parse(content.toString());
  } catch {
    throw new TargetFailure('its answer is not JSON');
  }
}

function freshMsOf(cacheControl: string): number | null {
  const directives = cacheControl.toLowerCase().split(',').map((directive) => directive.trim());
  if (directives.some((directive) => directive === 'no-store' || directive === 'no-cache' || directive.startsWith('no-cache='))) return 0;
  const [, seconds] = directives.map((directive) => /^max-age="?(\d{1,9})"?$/.exec(directive)).find((match) => match !== null) ?? [];
  return seconds === undefined ? null : Number(seconds) * 1_000;
}

/** A system's code says enough; its words may quote what was sent. */
function failureOf(error: unknown): TargetFailure {
  if (error instanceof TargetFailure) return error;
  return new TargetFailure(error instanceof Error && 'code' in error ? String(error.code) : 'it could not be asked');
}
