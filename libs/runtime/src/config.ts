// Configuration comes from environment variables, and only main.ts looks at those. An app's config.ts
// names its settings once, `{ apiPort: port(8774) }`; the variable follows from the name by one rule
// (apiPort <-> GATEHOUSE_API_PORT). All faults are told together: nobody should start five times to
// learn of five mistakes.

import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { ServiceError } from '@gatehouse/errors/service-error';
import { redactText } from './redact.ts';
import { isSecretSetting } from './settings.ts';
import { KNOWN_VARIABLES, PREFIX, TEST_PREFIX, suggestVariable, variableName } from './variables.ts';

export { address, choice, choices, csv, durationSeconds, flag, hostPort, integer, name, orNull, port, rpcLevel, secret,
  secretList, secretUrl, secretUrls, setting, text, url } from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;
export type ConfigShape = z.ZodObject;

const SECRET_FILE_BYTES_MAX = 65_536;

/**
 * Reads the settings of `shape` from `env`. An empty variable counts as unset. Unknown GATEHOUSE_*
 * variables are told to `warn`, with the name that was probably meant.
 *
 * @throws ServiceError INVALID_ARGUMENT with one line for each fault: the variable, what was wrong,
 *   what would be right. Values of secrets are not repeated.
 */
export function readConfig<S extends ConfigShape>(
  shape: S,
  env: Environment,
  warn: (message: string) => void = () => {},
): Readonly<z.output<S>> {
  const faults: string[] = [];
  const values: Record<string, string> = {};
  for (const [key, schema] of Object.entries(shape.shape)) {
    const value = isSecretSetting(schema) ? readSecret(key, env, faults) : readPlain(key, env);
    if (value !== null) values[key] = value;
  }
  const result = shape.safeParse(values);
  if (result.success && faults.length === 0) {
    warnOfUnknown(shape, env, warn);
    return Object.freeze(result.data);
  }
  // A setting whose file could not be read is told once, not also as unset.
  for (const issue of result.success ? [] : result.error.issues) {
    const line = describeIssue(shape, values, issue);
    const variable = line.split(' ', 1)[0] ?? line;
    if (!faults.some((fault) => fault.startsWith(variable))) faults.push(line);
  }
  throw new ServiceError('INVALID_ARGUMENT', joinFaults(faults));
}

function readPlain(key: string, env: Environment): string | null {
  const value = env[variableName(key)];
  return value === undefined || value.trim() === '' ? null : value;
}

function readSecret(key: string, env: Environment, faults: string[]): string | null {
  const variable = variableName(key);
  const value = readPlain(key, env);
  const file = env[`${variable}_FILE`]?.trim() ?? '';
  if (file === '') return value;
  if (value !== null) {
    faults.push(`${variable} and ${variable}_FILE are both set: set one of them`);
    return null;
  }
  try {
    const content = readFileSync(file, 'utf8');
    if (content.length <= SECRET_FILE_BYTES_MAX && content.trim() !== '') return content.trim();
    faults.push(`${variable}_FILE names ${file}, which is empty or longer than ${SECRET_FILE_BYTES_MAX} bytes: ` +
      'set the path of a file that holds only the secret');
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    faults.push(`${variable}_FILE names ${file}, which cannot be read (${reason}): set the path of a readable file`);
  }
  return null;
}

function describeIssue(shape: ConfigShape, values: Record<string, string>, issue: z.core.$ZodIssue): string {
  const key = String(issue.path[0] ?? '');
  if (key === '') return issue.message;
  const variable = variableName(key);
  const value = values[key];
  if (value === undefined) return `${variable} ${issue.message}`;
  const schema = shape.shape[key];
  const isSecret = schema !== undefined && isSecretSetting(schema);
  return isSecret
    ? `${variable} is wrong (its value is secret and not shown): ${issue.message}`
    : `${variable} is "${redactText(value.slice(0, 100))}": ${issue.message}`;
}

function joinFaults(faults: readonly string[]): string {
  if (faults.length === 1) return faults[0] ?? '';
  return [`${faults.length} settings are wrong:`, ...faults.map((fault) => `  ${fault}`)].join('\n');
}

function warnOfUnknown(shape: ConfigShape, env: Environment, warn: (message: string) => void): void {
  const known = new Set(KNOWN_VARIABLES.keys());
  for (const [key, schema] of Object.entries(shape.shape)) {
    known.add(variableName(key));
    if (isSecretSetting(schema)) known.add(`${variableName(key)}_FILE`);
  }
  for (const variable of Object.keys(env)) {
    if (!variable.startsWith(PREFIX) || variable.startsWith(TEST_PREFIX) || known.has(variable)) continue;
    const suggestion = suggestVariable(variable, known);
    warn(`${variable} is not a setting of Gatehouse and has no effect` +
      (suggestion === null ? '' : `; did you mean ${suggestion}?`));
  }
}
