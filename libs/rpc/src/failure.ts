/**
 * Errors on the wire: oslo's failure JSON {class, module, message, tb, args, kwargs}, both ways.
 *
 * A ServiceError goes out as the Python class that stands for it: one of oslo's own where its `details.oslo` says so,
 * else the one that the table in libs/errors names, so that a Python caller which allows that module rebuilds it. Our
 * own code, words and details travel beside, so that ours gets the same error back: among the keywords where the class
 * takes any, for those come through a Python service that passes the error on, and next to them where it takes none.
 * No stack leaves the process, and none that arrives is kept.
 */
import { ERRORS } from '@gatehouse/errors/error-table';
import { isErrorCode, ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { ErrorCode } from '@gatehouse/errors/service-error';
import { isObject, parseObject } from './json.ts';
import { keywordsOf, meaningOf, originalClass, osloClass, wordsOf } from './python-errors.ts';
import type { Details } from './python-errors.ts';

const MESSAGE_LENGTH_MAX = 2_000;
const FAILURE_LENGTH_MAX = 1_048_576;
const CLASS_LENGTH_MAX = 200;
const DETAILS_MAX = 20;
/** As in a traceback of Python's, so that one that passed through a Python service is cut off again. */
const TRACEBACK_BEGINS = 'Traceback (most recent call last):\n';
/** The status that every class of oslo.versionedobjects has. */
const OBJECTS_STATUS = 500;

interface PythonForm {
  readonly module: string;
  readonly name: string;
  readonly message: string;
  /** Null where the constructor takes no keywords: with any, its caller could not rebuild it. */
  readonly kwargs: Readonly<Record<string, unknown>> | null;
}

/** The failure text of any thrown value; what is no ServiceError becomes INTERNAL without its words. */
export function encodeFailure(thrown: unknown): string {
  const error = toServiceError(thrown);
  const words = error.message.slice(0, MESSAGE_LENGTH_MAX);
  const { module, name, message, kwargs } = pythonForm(error, words);
  const own = { service_code: error.code, ...(message === words ? {} : { service_message: words }), details: error.details };
  return JSON.stringify({
    class: name,
    module,
    message,
    tb: [TRACEBACK_BEGINS, `${module === 'builtins' ? name : `${module}.${name}`}: ${message}\n`],
    args: [message],
    ...(kwargs === null ? { kwargs: {}, ...own } : { kwargs: { ...kwargs, ...own } }),
  });
}

function pythonForm({ code, details }: ServiceError, message: string): PythonForm {
  const oslo = osloClass(details['oslo']);
  if (oslo !== undefined) {
    const { module } = oslo;
    const name = String(details['oslo']);
    if (oslo.keywords === undefined) return { module, name, message, kwargs: null };
    const keywords = keywordsOf(oslo, details);
    return { module, name, message: wordsOf(oslo, keywords) ?? message, kwargs: { ...keywords, code: OBJECTS_STATUS } };
  }
  const { http, osloModule: module, osloClass: name } = ERRORS[code];
  return { module, name, message, kwargs: module === 'builtins' ? null : { code: http } };
}

/**
 * The error that a failure text stands for: our own as it was, a Python one by its class, else INTERNAL. `details`
 * names the class that it came as (`remoteClass`).
 */
export function decodeFailure(text: string): ServiceError {
  const failure = parse(text);
  if (failure === null) return new ServiceError('INTERNAL', 'the server failed, and its failure could not be read');
  const { class: givenName, module: givenModule, message } = failure;
  const { module, name } = originalClass(shortText(givenModule), shortText(givenName));
  const kwargs: Readonly<Record<string, unknown>> = isObject(failure['kwargs']) ? failure['kwargs'] : {};
  const own = isErrorCode(kwargs['service_code']) ? kwargs : failure;
  const { code, details } = isErrorCode(own['service_code']) ? ownMeaning(own, own['service_code']) : meaningOf({ module, name, kwargs });
  const words = wordsIn(own['service_message']) ?? wordsIn(message) ?? `${name || 'an error'} without words`;
  return new ServiceError(code, words, { details: { ...details, ...(module && name ? { remoteClass: `${module}.${name}` } : {}) } });
}

function ownMeaning(own: Readonly<Record<string, unknown>>, code: ErrorCode): { readonly code: ErrorCode; readonly details: Details } {
  return { code, details: scalarsOf(own['details']) };
}

/** Where oslo appends a traceback to the words of an error that it passes on, in each of its ways to print one. */
const TRACEBACK = /(?:\n|\\n)\[?['"]?Traceback \(most recent call last\).*$/s;

function wordsIn(message: unknown): string | null {
  if (typeof message !== 'string') return null;
  const words = message.slice(0, MESSAGE_LENGTH_MAX).replace(TRACEBACK, '');
  return words === '' ? null : words;
}

function shortText(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, CLASS_LENGTH_MAX) : '';
}

function scalarsOf(value: unknown): Details {
  if (!isObject(value)) return {};
  const isScalar = (each: unknown) => each === null || ['string', 'number', 'boolean'].includes(typeof each);
  const entries = Object.entries(value).filter(([key, each]) => key !== '__proto__' && isScalar(each));
  return Object.fromEntries(entries.slice(0, DETAILS_MAX)) as Details;
}

function parse(text: string): Readonly<Record<string, unknown>> | null {
  if (text.length > FAILURE_LENGTH_MAX) return null;
  try {
    return parseObject(text, 'the failure');
  } catch {
    return null;
  }
}
