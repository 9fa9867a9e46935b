/**
 * What the api asks of others about an instance's guest: its host's compute agent makes and destroys it,
 * consoleauth ends its console sessions. An instance never hangs because one of them is not there.
 */
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import type { compute } from '@gatehouse/contracts/compute';
import type { consoleauth } from '@gatehouse/contracts/consoleauth';
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

/** How long an agent may take to make a guest. */
const BUILD_TIMEOUT_MS = 120_000;
/** A request for an instance waits this long for its guest, so that a quick host's is there when the answer is read. */
const BUILD_WAIT_MS = 1_000;
const DESTROY_TIMEOUT_MS = 15_000;
const END_SESSIONS_TIMEOUT_MS = 5_000;
/** Guests being made at once; more are refused. */
export const BUILDS_MAX = 256;

export class Guests {
  readonly #rpc: RpcClients;
  readonly #cellDb: CellDb;
  readonly #placement: Placement;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #builds = new Set<Promise<void>>();

  constructor(rpc: RpcClients, cellDb: CellDb, placement: Placement, clock: Clock, log: Logger) {
    this.#rpc = rpc;
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

  /** Does not throw: the sessions of a deleted instance that a consoleauth did not hear of are ended by its next sweep. */
  async endSessions(instanceUuid: string, context: RequestContext): Promise<void> {
    try {
      const args = { instanceUuid, reason: 'instance_deleted' };
      await this.#rpc.consoleauth.revokeInstance(args, context, { timeoutMs: END_SESSIONS_TIMEOUT_MS });
    } catch (error) {
      this.#log.warn({ requestId: context.requestId, instanceUuid, err: error }, 'console sessions of a deleted instance were not ended');
    }
  }

  /** Returns also where the host is not there. Throws what a live host's agent refused with. */
  async destroy(instance: Instance, context: RequestContext): Promise<void> {
    const { uuid: instanceUuid, host } = instance;
    if (host === null) return;
    const facts = { requestId: context.requestId, instanceUuid, host };
    if (!(await this.#placement.isLive(host))) {
      this.#log.warn(facts, 'the host of a deleted instance does not report: its guest is left to its agent');
      return;
    }
    try {
      await this.#rpc.compute.deleteInstance({ instanceUuid, reason: 'instance_deleted' }, context, { server: host, timeoutMs: DESTROY_TIMEOUT_MS });
    } catch (error) {
      const { code } = toServiceError(error);
      if (code !== 'UNAVAILABLE' && code !== 'DEADLINE_EXCEEDED') throw error;
      this.#log.warn({ ...facts, err: error }, 'the host of a deleted instance did not answer: its guest is left to its agent');
    }
  }

  async #build(instance: Instance, context: RequestContext): Promise<void> {
    const { requestId, traceparent, userId, projectId, isAdmin, roles } = context;
    // Not the request's own deadline: the guest is made also when nobody waits for the answer any more.
    const own = newContext({ requestId, traceparent, userId, projectId, isAdmin, roles, timeoutMs: BUILD_TIMEOUT_MS });
    try {
      await this.#rpc.compute.createInstance({ instance }, own, { server: instance.host ?? '', timeoutMs: BUILD_TIMEOUT_MS });
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
