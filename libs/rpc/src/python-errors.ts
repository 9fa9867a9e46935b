/**
 * Which Python exceptions stand for which of our codes: those that oslo.messaging and oslo.versionedobjects raise
 * themselves, and Nova's. What is not named here is INTERNAL, whatever it calls itself: a class is a claim of its
 * sender, never imported, and its words alone decide nothing.
 */
import { ERRORS } from '@gatehouse/errors/error-table';
import type { ErrorCode, ServiceError } from '@gatehouse/errors/service-error';

export type Details = ServiceError['details'];

/** A class of oslo's; its name is what `details.oslo` of our own refusals says. */
export interface OsloClass {
  readonly module: string;
  readonly code: ErrorCode;
  /** oslo's words, with the names of the keywords in %()s; absent where the class takes its words as they are. */
  readonly words?: string;
  /** Keyword of the constructor -> key of our details. */
  readonly keywords?: Readonly<Record<string, string>>;
}

const DISPATCHER = 'oslo_messaging.rpc.dispatcher';
const CLIENT = 'oslo_messaging.rpc.client';
const MESSAGING = 'oslo_messaging.exceptions';
const OBJECTS = 'oslo_versionedobjects.exception';
const NOVA = 'nova.exception';

const OSLO_CLASSES: ReadonlyMap<string, OsloClass> = new Map(
  Object.entries<OsloClass>({
    NoSuchMethod: { module: DISPATCHER, code: 'UNIMPLEMENTED' },
    UnsupportedVersion: { module: DISPATCHER, code: 'UNIMPLEMENTED' },
    RPCVersionCapError: { module: CLIENT, code: 'UNIMPLEMENTED' },
    MessagingTimeout: { module: MESSAGING, code: 'DEADLINE_EXCEEDED' },
    MessageDeliveryFailure: { module: MESSAGING, code: 'UNAVAILABLE' },
    MessageUndeliverable: { module: MESSAGING, code: 'UNAVAILABLE' },
    InvalidTarget: { module: MESSAGING, code: 'INVALID_ARGUMENT' },
    IncompatibleObjectVersion: {
      module: OBJECTS,
      code: 'INVALID_ARGUMENT',
      words: 'Version %(objver)s of %(objname)s is not supported, supported version is %(supported)s',
      keywords: { objver: 'received', objname: 'objname', supported: 'supported' },
    },
    UnsupportedObjectError: { module: OBJECTS, code: 'INVALID_ARGUMENT', words: 'Unsupported object type %(objtype)s', keywords: { objtype: 'objtype' } },
    InvalidTargetVersion: { module: OBJECTS, code: 'INVALID_ARGUMENT', words: 'Invalid target version %(version)s', keywords: { version: 'version' } },
    ReadOnlyFieldError: { module: OBJECTS, code: 'INVALID_ARGUMENT', words: 'Cannot modify readonly field %(field)s', keywords: { field: 'field' } },
    ObjectActionError: {
      module: OBJECTS,
      code: 'FAILED_PRECONDITION',
      words: 'Object action %(action)s failed because: %(reason)s',
      keywords: { action: 'action', reason: 'reason' },
    },
  }),
);

/** The class that a refusal names in `details.oslo`. */
export function osloClass(name: unknown): OsloClass | undefined {
  return typeof name === 'string' ? OSLO_CLASSES.get(name) : undefined;
}

/** What Nova's classes mean where their HTTP status says less, or something else. */
const NOVA_CODES: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ...Object.entries(ERRORS).flatMap(([code, row]): [string, ErrorCode][] => (row.osloModule === NOVA && row.osloClass !== 'NovaException' ? [[row.osloClass, code as ErrorCode]] : [])),
  ['ConsoleTypeUnavailable', 'INVALID_ARGUMENT'],
  ['InstanceIsLocked', 'FAILED_PRECONDITION'],
  ['InstanceNotReady', 'FAILED_PRECONDITION'],
  ['InstanceNotRunning', 'FAILED_PRECONDITION'],
  ['KeyPairExists', 'ALREADY_EXISTS'],
  ['InstanceExists', 'ALREADY_EXISTS'],
  ['TokenInUse', 'ALREADY_EXISTS'],
  ['SocketPortInUseException', 'PORT_IN_USE'],
  ['SocketPortRangeExhaustedException', 'RESOURCE_EXHAUSTED'],
  ['ConsolePortRangeExhausted', 'RESOURCE_EXHAUSTED'],
  ['ComputeServiceUnavailable', 'UNAVAILABLE'],
  ['HypervisorUnavailable', 'UNAVAILABLE'],
  ['CellTimeout', 'UNAVAILABLE'],
]);

/** For Nova's other classes: each has a status, most by their base class (NotFound 404, Invalid 400, OverQuota 413). */
const HTTP_CODES: ReadonlyMap<unknown, ErrorCode> = new Map<unknown, ErrorCode>([
  [400, 'INVALID_ARGUMENT'],
  [401, 'UNAUTHENTICATED'],
  [403, 'PERMISSION_DENIED'],
  [404, 'NOT_FOUND'],
  [409, 'FAILED_PRECONDITION'],
  [412, 'FAILED_PRECONDITION'],
  [413, 'RESOURCE_EXHAUSTED'],
  [429, 'RESOURCE_EXHAUSTED'],
  [501, 'UNIMPLEMENTED'],
  [503, 'UNAVAILABLE'],
  [504, 'DEADLINE_EXCEEDED'],
]);

export interface PythonError {
  readonly module: string;
  readonly name: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
}

const POSTFIX = '_Remote';

/** The class as it was before an oslo client that passed the error on gave it another name. */
export function originalClass(module: string, name: string): Pick<PythonError, 'module' | 'name'> {
  if (!module.endsWith(POSTFIX) || !name.endsWith(POSTFIX)) return { module, name };
  return { module: module.slice(0, -POSTFIX.length), name: name.slice(0, -POSTFIX.length) };
}

/** Our code for a Python exception, and what its keywords tell us of one of oslo's own. */
export function meaningOf({ module, name, kwargs }: PythonError): { readonly code: ErrorCode; readonly details: Details } {
  const known = OSLO_CLASSES.get(name);
  if (known?.module === module) return { code: known.code, details: { oslo: name, ...keywordsBack(known, kwargs) } };
  if (module === NOVA) return { code: NOVA_CODES.get(name) ?? HTTP_CODES.get(kwargs['code']) ?? 'INTERNAL', details: {} };
  const isNotImplemented = name === ERRORS.UNIMPLEMENTED.osloClass && (module === 'builtins' || module === 'exceptions');
  return { code: isNotImplemented ? 'UNIMPLEMENTED' : 'INTERNAL', details: {} };
}

function keywordsBack({ keywords = {} }: OsloClass, kwargs: PythonError['kwargs']): Details {
  const details: Record<string, string> = {};
  for (const [keyword, key] of Object.entries(keywords)) {
    const value = kwargs[keyword];
    if (typeof value === 'string') details[key] = value.slice(0, 200);
  }
  return details;
}

/** The keywords for the class's constructor, from our details. */
export function keywordsOf({ keywords = {} }: OsloClass, details: Details): Record<string, string> {
  return Object.fromEntries(Object.entries(keywords).map(([keyword, key]) => [keyword, String(details[key] ?? '')]));
}

/** oslo's own words for it; undefined where it has none. */
export function wordsOf({ words }: OsloClass, kwargs: Readonly<Record<string, string>>): string | undefined {
  return words?.replace(/%\((\w+)\)s/g, (_, keyword: string) => kwargs[keyword] ?? '');
}
