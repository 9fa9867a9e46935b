/**
 * Why a host's console was not opened, twice: in short words for the user, who can do nothing about addresses and
 * certificates, and in full for the operator's log, as the error's cause.
 */
import { isServiceError, ServiceError } from '@gatehouse/errors/service-error';

export const WORDS = {
  unreachable: "The console's host could not be reached.",
  noPort: 'This console has no port at the moment; is the machine running?',
  closed: "The console's host closed the connection before the console was open.",
  path: "The console's host does not let this proxy through.",
  insecure: "The connection to the console's host could not be secured.",
  identity: "The console's host could not prove that it is the right one.",
  stranger: "The console's host did not accept this proxy.",
  protocol: "The console's host does not speak as a VNC server should.",
  security: "The console's host offers no security that this proxy accepts.",
  setup: 'This console proxy is not set up for that console.',
} as const;

/** UNAVAILABLE: the machine may be well, and only its operator can mend what stands between. `detail` is for the log. */
export function hostRefusal(words: string, detail: string): ServiceError {
  return new ServiceError('UNAVAILABLE', words, { cause: new Error(detail) });
}

/** Whether it is that the host closed the connection, without a reason. */
export const isClosed = (error: unknown): boolean => isServiceError(error) && error.message === WORDS.closed;

/** What the log says of a refusal. */
export function detailOf(error: unknown): string {
  if (isServiceError(error) && error.cause instanceof Error) return error.cause.message;
  return error instanceof Error ? error.message : String(error);
}

/** The same refusal, its detail saying where; anything else that was thrown counts as a host that could not be reached. */
export function refusalAt(where: string, error: unknown): ServiceError {
  const words = isServiceError(error) ? error.message : WORDS.unreachable;
  return hostRefusal(words, `${where}: ${detailOf(error)}`);
}

export function lateAt(where: string, timeoutMs: number, error: unknown): ServiceError {
  const cause = new Error(`${where}: ${detailOf(error)}`);
  return new ServiceError('DEADLINE_EXCEEDED', `The console's host did not answer within ${timeoutMs / 1_000} s.`, { cause });
}
