/**
 * A console of one's own instance: the instance's host is asked for it by RPC, and answers with the URL that
 * opens it. The URL holds the token; it goes to the caller and nowhere else.
 */
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import { CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import type { ConsoleConnection, ConsoleType } from '@gatehouse/objects/console-connection';
import type { Access } from '@gatehouse/objects/console-session';
import { withTimeout } from '@gatehouse/rpc/context';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { RpcClients } from './guests.ts';
import type { Instances } from './instances.ts';

export interface WantedConsole {
  /** vnc, serial, spice, rdp, mks */
  readonly protocol: string;
  readonly type: string;
  /** `view`: its proxy passes no input. */
  readonly access?: Access | undefined;
}

const TYPES_OF: Readonly<Record<string, readonly string[]>> = {
  vnc: ['novnc'],
  serial: ['serial'],
  spice: ['spice-html5'],
  rdp: ['rdp-html5'],
  mks: ['webmks'],
};

const CONSOLE_TIMEOUT_MS = 30_000;
/** The longest that consoleauth looks at. */
const TOKEN_LENGTH_MAX = 512;
const UNSTABLE: ReadonlySet<string> = new Set(['deleting', 'migrating']);

export class Consoles {
  readonly #instances: Instances;
  readonly #compute: RpcClients['compute'];
  readonly #newest: RpcClients;

  /** `newest` speaks the newest levels: it asks for what came with them and has no older form. */
  constructor(instances: Instances, compute: RpcClients['compute'], newest: RpcClients) {
    this.#instances = instances;
    this.#compute = compute;
    this.#newest = newest;
  }

  /**
   * The access URL of a new console. Throws NOT_FOUND (instance), FAILED_PRECONDITION (not placed yet, being
   * deleted), INVALID_ARGUMENT (type), PORT_IN_USE, UNAVAILABLE and DEADLINE_EXCEEDED (its host).
   */
  async open(context: RequestContext, instanceUuid: string, wanted: WantedConsole): Promise<string> {
    const { host, taskState } = await this.#placed(context, instanceUuid);
    if (taskState !== null && UNSTABLE.has(taskState)) {
      const message = `Instance ${instanceUuid} in task_state ${taskState}. Cannot get console while the instance is in this state.`;
      throw new ServiceError('FAILED_PRECONDITION', message);
    }
    const consoleType = typeOf(wanted);
    const asked = withTimeout(context, CONSOLE_TIMEOUT_MS);
    try {
      const { accessUrl } = await this.#compute.getConsole({ instanceUuid, consoleType, access: wanted.access ?? 'full' }, asked, { server: host });
      if (accessUrl !== null) return accessUrl;
    } catch (error) {
      throw explain(toServiceError(error), host);
    }
    throw new ServiceError('INTERNAL', 'the host gave a console without its URL');
  }

  /**
   * The last `length` lines that the guest printed on its first serial port, or all that is kept where it is null. Throws
   * NOT_FOUND (instance, guest), FAILED_PRECONDITION (not placed yet), UNIMPLEMENTED, UNAVAILABLE, DEADLINE_EXCEEDED (its host).
   */
  async output(context: RequestContext, instanceUuid: string, length: number | null): Promise<string> {
    const { host } = await this.#placed(context, instanceUuid);
    try {
      return await this.#newest.compute.consoleOutput({ instanceUuid, length }, withTimeout(context, CONSOLE_TIMEOUT_MS), { server: host });
    } catch (error) {
      throw explain(toServiceError(error), host);
    }
  }

  /** Where a token leads; for the administrator's own proxies. Throws PERMISSION_DENIED, NOT_FOUND. */
  async reach(context: RequestContext, token: string): Promise<ConsoleConnection> {
    if (!context.isAdmin) throw new ServiceError('PERMISSION_DENIED', "Policy doesn't allow os_compute_api:os-console-auth-tokens to be performed.");
    if (token.length > TOKEN_LENGTH_MAX) throw unknownToken();
    try {
      return await this.#newest.consoleauth.showToken({ token }, withTimeout(context, CONSOLE_TIMEOUT_MS));
    } catch (error) {
      // Whatever it says of a token is not for a caller's eyes, who may have guessed.
      throw toServiceError(error).code === 'NOT_FOUND' ? unknownToken() : error;
    }
  }

  /** Throws NOT_FOUND (instance), FAILED_PRECONDITION where it has no host yet. */
  async #placed(context: RequestContext, instanceUuid: string): Promise<{ readonly host: string; readonly taskState: string | null }> {
    const { host, taskState } = await this.#instances.show(context, instanceUuid);
    if (host === null) throw new ServiceError('FAILED_PRECONDITION', `Instance ${instanceUuid} is not ready`);
    return { host, taskState };
  }
}

function unknownToken(): ServiceError {
  return new ServiceError('NOT_FOUND', 'Token not found');
}

function typeOf({ protocol, type }: WantedConsole): ConsoleType {
  const isOfProtocol = TYPES_OF[protocol]?.includes(type) ?? false;
  const known = CONSOLE_TYPES.find((each) => each === type);
  if (isOfProtocol && known !== undefined) return known;
  // Nova gives a URL for some mixed pairs, which no proxy then serves.
  throw new ServiceError('INVALID_ARGUMENT', `Invalid console type ${type}`);
}

/** Not to be there is a fact about a host; its name helps the operator who is told of it. */
function explain(error: ServiceError, host: string): ServiceError {
  if (error.code === 'UNAVAILABLE') {
    return new ServiceError('UNAVAILABLE', `The compute host ${host} cannot be reached at the moment: ${error.message}`, { cause: error });
  }
  if (error.code === 'DEADLINE_EXCEEDED') {
    return new ServiceError('DEADLINE_EXCEEDED', `The compute host ${host} did not answer in time`, { cause: error });
  }
  return error;
}
