/**
 * What the api asks of others about an instance's guest: its host's compute agent makes, changes and destroys it,
 * consoleauth ends its console sessions. An instance never hangs because one of them is not there.
 */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { compute } from '@gatehouse/contracts/compute';
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
import type { EndReason } from '@gatehouse/errors/endings';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { Instance } from '@gatehouse/objects/instance';
import type { Client } from '@gatehouse/rpc/client';
import { newContext } from '@gatehouse/rpc/context';
import type { RequestContext } from '@gatehouse/rpc/context';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Placement } from './placement.ts';

export interface RpcClients {
  readonly compute: Client<typeof compute>;
  readonly consoleauth: Client<typeof consoleauth>;
}

/** Two ways to the same agents. */
export interface ComputeClients {
  /** At the fleet's level. */
  readonly pinned: Client<typeof compute>;
  /** For methods that came with 1.1, which no older level can say: one host that is older holds up no other. */
  readonly newest: Client<typeof compute>;
}

export interface GuestsClients {
  readonly compute: ComputeClients;
  readonly consoleauth: RpcClients['consoleauth'];
}

/** How long an agent may take to make or change a guest. */
const GUEST_TIMEOUT_MS = 120_000;
/** A request for an instance waits this long for its guest, so that a quick host's is there when the answer is read. */
const BUILD_WAIT_MS = 1_000;
const DESTROY_TIMEOUT_MS = 15_000;
const END_SESSIONS_TIMEOUT_MS = 5_000;
/** Guests being made at once; more are refused. */
export const BUILDS_MAX = 256;

export class Guests {
  readonly #compute: ComputeClients;
  readonly #consoleauth: RpcClients['consoleauth'];
  readonly #cellDb: CellDb;
  readonly #placement: Placement;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #builds = new Set<Promise<void>>();

  constructor({ compute, consoleauth }: GuestsClients, cellDb: CellDb, placement: Placement, clock: Clock, log: Logger) {
    this.#compute = compute;
    this.#consoleauth = consoleauth;
    this.#cellDb = cellDb;
    this.#placement = placement;
    this.#clock = clock;
    this.#log = log;
  }

  /**
   * Asks the instance's host for its guest and comes back when it is made, or after a second while the host goes
   * on. A failure leaves the instance in state `error`; it is not thrown, the instance exists.
   */
  async build(instance: Instance, context: RequestContext): Promise<void> {
    if (this.#builds.size >= BUILDS_MAX) {
      await this.#failBuild(instance, new ServiceError('RESOURCE_EXHAUSTED', 'too many guests are being made'));
      return;
    }
    const build = this.#build(instance, context).finally(() => this.#builds.delete(build));
    this.#builds.add(build);
    await Promise.race([build, this.#clock.sleep(BUILD_WAIT_MS)]);
  }

  /** Resolves when no guest is being made any more. */
  async idle(): Promise<void> {
    await Promise.all(this.#builds);
  }

  /**
   * Revokes the tokens of the instance and ends its console sessions. Does not throw: its agent ends the consoles in any
   * case, and consoleauth's sweep the sessions of a deleted instance.
   */
  async endSessions(instanceUuid: string, reason: EndReason, context: RequestContext): Promise<void> {
    try {
      await this.#consoleauth.revokeInstance({ instanceUuid, reason }, context, { timeoutMs: END_SESSIONS_TIMEOUT_MS });
    } catch (error) {
      this.#log.warn({ requestId: context.requestId, instanceUuid, reason, err: error }, 'console sessions of an instance were not ended');
    }
  }

  /** Whether its guest is known to be gone; false where the host is not there. Throws what a live host's agent refused with. */
  async destroy(instance: Pick<Instance, 'uuid' | 'host'>, reason: EndReason, context: RequestContext): Promise<boolean> {
    const { uuid: instanceUuid, host } = instance;
    if (host === null) return true;
    const facts = { requestId: context.requestId, instanceUuid, host, reason };
    if (!(await this.#placement.isLive(host))) {
      this.#log.warn(facts, 'the host does not report: the guest is left to its agent');
      return false;
    }
    try {
      await this.#compute.pinned.deleteInstance({ instanceUuid, reason }, context, { server: host, timeoutMs: DESTROY_TIMEOUT_MS });
      return true;
    } catch (error) {
      const { code } = toServiceError(error);
      if (code !== 'UNAVAILABLE' && code !== 'DEADLINE_EXCEEDED') throw error;
      this.#log.warn({ ...facts, err: error }, 'the host did not answer: the guest is left to its agent');
      return false;
    }
  }

  async stop({ uuid: instanceUuid, host }: Instance, reason: EndReason, context: RequestContext): Promise<void> {
    await this.#compute.newest.stopInstance({ instanceUuid, reason }, context, onHost(host));
  }

  start(instance: Instance, context: RequestContext): Promise<void> {
    return this.#change('startInstance', instance, context);
  }

  reboot(instance: Instance, context: RequestContext): Promise<void> {
    return this.#change('rebootInstance', instance, context);
  }

  rebuild(instance: Instance, context: RequestContext): Promise<void> {
    return this.#change('rebuildInstance', instance, context);
  }

  /** Has the guest made on `instance.host`, where the instance will be. */
  async receive(instance: Instance, live: boolean, context: RequestContext): Promise<void> {
    await this.#compute.newest.receiveInstance({ instance: await this.#withKeys(instance), live }, context, onHost(instance.host));
  }

  async #change(method: 'startInstance' | 'rebootInstance' | 'rebuildInstance', instance: Instance, context: RequestContext): Promise<void> {
    await this.#compute.newest[method]({ instance: await this.#withKeys(instance) }, context, onHost(instance.host));
  }

  /** As a guest is made from it. */
  async #withKeys(instance: Instance): Promise<Instance> {
    const keypairs = await this.#cellDb.instanceExtra.findKeyPairs(instance.uuid);
    return keypairs === null ? instance : { ...instance, keypairs };
  }

  async #build(instance: Instance, context: RequestContext): Promise<void> {
    // The guest is made also when nobody waits for the answer any more.
    const own = ownContext(context, GUEST_TIMEOUT_MS);
    try {
      await this.#compute.pinned.createInstance({ instance }, own, onHost(instance.host));
    } catch (error) {
      await this.#failBuild(instance, error);
    }
  }

  async #failBuild(instance: Instance, reason: unknown): Promise<void> {
    const { uuid: instanceUuid, host } = instance;
    this.#log.error({ instanceUuid, host, err: reason }, 'a guest could not be made');
    const { instances } = this.#cellDb;
    try {
      // An agent that was started again meanwhile has taken it up by itself.
      if ((await instances.find(instanceUuid))?.vmState !== 'building') return;
      await instances.update(instanceUuid, { vmState: 'error', taskState: null }, this.#clock.now());
    } catch (error) {
      this.#log.error({ instanceUuid, err: error }, 'the state of an instance could not be stored');
    }
  }
}

/** The request's caller and id with a deadline of its own, for work that goes on when the request was answered. */
export function ownContext(context: RequestContext, timeoutMs: number): RequestContext {
  const { requestId, traceparent, userId, projectId, isAdmin, roles } = context;
  return newContext({ requestId, traceparent, userId, projectId, isAdmin, roles, timeoutMs });
}

function onHost(host: string | null): { readonly server: string; readonly timeoutMs: number } {
  if (host === null) throw new ServiceError('FAILED_PRECONDITION', 'the instance is on no host');
  return { server: host, timeoutMs: GUEST_TIMEOUT_MS };
}
