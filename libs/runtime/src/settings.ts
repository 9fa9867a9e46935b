// The kinds of settings that configurations are made of. Each is a zod schema that reads the text of
// one environment variable and, when it cannot, says what would be right. readConfig (config.ts) puts
// them together.

import { isIP } from 'node:net';
import { brokerAddresses } from '@gatehouse/rpc/amqp-url';
import { parseLevel } from '@gatehouse/rpc/level';
import { z } from 'zod';

// Not z.coerce and friends: their messages speak to programmers ("expected number, received NaN").
type Parse<T> = (text: string) => T;

const secretSettings = new WeakSet<z.core.$ZodType>();

/** True for settings whose value must not be shown and may come from a file named by `<VARIABLE>_FILE`. */
export function isSecretSetting(schema: z.core.$ZodType): boolean {
  if (secretSettings.has(schema)) return true;
  const inner: unknown = 'unwrap' in schema && typeof schema.unwrap === 'function' ? schema.unwrap() : null;
  return inner instanceof z.ZodType && isSecretSetting(inner);
}

/** Marks a setting as secret. */
export function asSecret<S extends z.core.$ZodType>(schema: S): S {
  secretSettings.add(schema);
  return schema;
}

/**
 * A setting read by `parse`, which throws an Error whose message says what would be right. Without
 * `fallback` the variable must be set; `wanted` then tells with what.
 */
export function setting<T>(wanted: string, parse: Parse<T>, fallback?: NoInfer<T>): z.ZodType<T> {
  const schema = z.string({ error: () => `is not set: set ${wanted}` }).transform((text, context) => {
    try {
      return parse(text.trim());
    } catch {
      context.addIssue({ code: 'custom', message: `set ${wanted}` });
      return z.NEVER;
    }
  });
  return (fallback === undefined ? schema : schema.default(fallback as never)) as unknown as z.ZodType<T>;
}

/** The same setting, null when its variable is not set. */
export function orNull<T>(schema: z.ZodType<T>): z.ZodType<T | null> {
  const nullable = schema.nullable().default(null);
  return isSecretSetting(schema) ? asSecret(nullable) : nullable;
}

/** A TCP port to listen on; 0 lets the system pick a free one. */
export function port(fallback?: number): z.ZodType<number> {
  return integer({ min: 0, max: 65_535, fallback, wanted: 'a port from 0 to 65535 (0 picks a free one)' });
}

/** A whole number within bounds. */
export function integer(options: {
  readonly min: number;
  readonly max: number;
  readonly fallback?: number | undefined;
  readonly wanted?: string;
}): z.ZodType<number> {
  const { min, max, fallback, wanted = `a whole number from ${min} to ${max}` } = options;
  return setting(wanted, (text) => requireRange(requireMatch(text, /^-?\d{1,15}$/), min, max), fallback);
}

/** A length of time in seconds: `600`, `600s`, `10m`, `12h` and `2d` are all understood. */
export function durationSeconds(
  fallback?: number,
  { min = 1, max = 31_536_000 }: { readonly min?: number; readonly max?: number } = {},
): z.ZodType<number> {
  const parse = (text: string): number => {
    const [, amount, unit = 's'] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? fail();
    return requireRange(String(Number(amount) * (UNIT_SECONDS[unit || 's'] ?? fail())), min, max);
  };
  return setting(`a duration from ${min} to ${max} seconds (600, 10m, 12h)`, parse, fallback);
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** An absolute URL with one of `protocols` (`['amqp', 'amqps']`), kept as it was written. */
export function url(protocols: readonly string[], fallback?: string): z.ZodType<string> {
  const wanted = `a URL like ${protocols.map((protocol) => `${protocol}://host`).join(' or ')}`;
  const parse = (text: string): string => {
    const parsed = new URL(text);
    return protocols.includes(parsed.protocol.slice(0, -1)) && parsed.host !== '' ? text : fail();
  };
  return setting(wanted, parse, fallback);
}

/** A URL that carries a password, as those of databases and brokers do: secret, `_FILE` accepted. */
export function secretUrl(protocols: readonly string[], fallback?: string): z.ZodType<string> {
  return asSecret(url(protocols, fallback));
}

/** Several of those, separated by commas (a comma in a password is written %2C). */
export function secretUrls(protocols: readonly string[], fallback?: readonly string[]): z.ZodType<readonly string[]> {
  const wanted = `URLs like ${protocols.map((protocol) => `${protocol}://host`).join(' or ')}, separated by commas`;
  const parse = (value: string): readonly string[] => {
    const urls = splitList(value);
    return urls.length > 0 ? urls.map((one) => url(protocols).parse(one)) : fail();
  };
  return asSecret(setting(wanted, parse, fallback));
}

/** Where the message broker is: one host or several, with a password, as oslo's transport_url has them; secret. */
export function brokerUrl(): z.ZodType<string> {
  const schema = z.string({ error: () => 'is not set: set a URL like amqp://user:password@host:5672/vhost' }).transform((text, context) => {
    try {
      brokerAddresses(text.trim());
      return text.trim();
    } catch (error) {
      // It says what is wrong and quotes nothing.
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'it cannot be read' });
      return z.NEVER;
    }
  });
  return asSecret(schema as unknown as z.ZodType<string>);
}

/** Values separated by commas; empty ones are dropped. */
export function csv(fallback?: readonly string[]): z.ZodType<readonly string[]> {
  return setting<readonly string[]>('a list separated by commas', splitList, fallback);
}

/** Yes or no. */
export function flag(fallback?: boolean): z.ZodType<boolean> {
  return setting('true or false', (text) => FLAG_WORDS[text.toLowerCase()] ?? fail(), fallback);
}

const FLAG_WORDS: Readonly<Record<string, boolean>> = {
  true: true, yes: true, on: true, 1: true, false: false, no: false, off: false, 0: false,
};

/** One of a few words. */
export function choice<const T extends string>(values: readonly T[], fallback?: NoInfer<T>): z.ZodType<T> {
  const parse = (text: string): T => values.find((value) => value === text) ?? fail();
  return setting(`one of ${values.join(', ')}`, parse, fallback);
}

/** Some of a few words, separated by commas; none unless told. */
export function choices<const T extends string>(values: readonly T[], fallback: readonly NoInfer<T>[] = []): z.ZodType<readonly T[]> {
  const parse = (text: string): readonly T[] => splitList(text).map((word) => values.find((value) => value === word) ?? fail());
  return setting<readonly T[]>(`some of ${values.join(', ')}, separated by commas`, parse, fallback);
}

/** The level of a contract that a client speaks: `auto`, or one of those that the contract has had. */
export function rpcLevel({ topic, version }: { readonly topic: string; readonly version: string }, fallback = 'auto'): z.ZodType<string> {
  const [major = 0, newest = 0] = parseLevel(version) ?? [];
  const levels = newest === 0 ? version : `a level of ${topic} from ${major}.0 to ${version}`;
  const known = new Set(['auto', ...Array.from({ length: newest + 1 }, (_, minor) => `${major}.${minor}`)]);
  return setting(`auto, or ${levels}`, (value) => (known.has(value) ? value : fail()), fallback);
}

/** Any text that is not empty, at most 1024 characters. */
export function text(wanted: string, fallback?: string): z.ZodType<string> {
  return setting(wanted, (value) => requireMatch(value, /^.{1,1024}$/su), fallback);
}

/** A name as hosts and services have them: letters, digits, dots, dashes, underscores. */
export function name(fallback?: string): z.ZodType<string> {
  const wanted = 'a name of letters, digits, dots, dashes and underscores, at most 255';
  return setting(wanted, (value) => requireMatch(value, /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/), fallback);
}

/** An IP address or host name to listen on. */
export function address(fallback?: string): z.ZodType<string> {
  const wanted = 'an IP address or host name, such as 127.0.0.1 or 0.0.0.0';
  const parse = (value: string): string => (isIP(value) > 0 ? value : requireMatch(value, /^[A-Za-z0-9._-]{1,255}$/));
  return setting(wanted, parse, fallback);
}

/** `host:port`, the port 0 to let the system pick. IPv6 hosts stand in brackets. */
export function hostPort(fallback?: string): z.ZodType<string> {
  const wanted = 'an address and port, such as 127.0.0.1:0 (port 0 picks a free one)';
  const parse = (value: string): string => {
    const [, , digits = ''] = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(value) ?? fail();
    requireRange(digits, 0, 65_535);
    return value;
  };
  return setting(wanted, parse, fallback);
}

/** One secret: never shown, and accepted from the file that `<VARIABLE>_FILE` names. */
export function secret(wanted: string, fallback?: string): z.ZodType<string> {
  return asSecret(text(wanted, fallback));
}

/** Secrets separated by commas (the first is used to sign, all are accepted), `_FILE` accepted. */
export function secretList(fallback?: readonly string[]): z.ZodType<readonly string[]> {
  const parse = (value: string): readonly string[] => {
    const values = splitList(value);
    return values.length > 0 ? values : fail();
  };
  return asSecret(setting('one or more secrets separated by commas', parse, fallback));
}

function splitList(text: string): readonly string[] {
  return text.split(',').map((item) => item.trim()).filter((item) => item !== '');
}

function requireMatch(text: string, pattern: RegExp): string {
  return pattern.test(text) ? text : fail();
}

function requireRange(digits: string, min: number, max: number): number {
  const value = Number(digits);
  return value >= min && value <= max ? value : fail();
}

function fail(): never {
  throw new Error('not of this kind');
}
