// The few requests of the compute REST API that standalone makes of its own api: it uses the front door,
// like anybody else.

import { ServiceError } from '@gatehouse/errors/service-error';

export interface Server {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly userId: string;
  readonly projectId: string;
}

export interface Caller {
  readonly userId: string;
  readonly projectId: string;
}

/** How a console is asked for: protocol and type. */
export type ConsoleKind = readonly ['vnc', 'novnc'] | readonly ['spice', 'spice-html5'] | readonly ['serial', 'serial'];

const REQUEST_TIMEOUT_MS = 30_000;
const MICROVERSION = 'compute 2.8';

export class ComputeApi {
  readonly #base: string;

  constructor(baseUrl: string) {
    this.#base = `${baseUrl}/v2.1`;
  }

  /** Every project's instances, at most `limit`; the caller must be an administrator. */
  async listAllServers(caller: Caller, limit: number): Promise<readonly Server[]> {
    return readServers(await this.#request(caller, 'GET', `/servers/detail?all_tenants=1&limit=${limit}`));
  }

  /** The caller's own instances. */
  async listServers(caller: Caller): Promise<readonly Server[]> {
    return readServers(await this.#request(caller, 'GET', '/servers/detail'));
  }

  async hasKeyPair(caller: Caller, name: string): Promise<boolean> {
    const answer = await this.#request(caller, 'GET', '/os-keypairs');
    return list(answer, 'keypairs').some((item) => text(record(item, 'keypair'), 'name') === name);
  }

  /** Has the api make a key pair. @returns the private key, which only this answer holds */
  async makeKeyPair(caller: Caller, name: string): Promise<string> {
    const answer = await this.#request(caller, 'POST', '/os-keypairs', { keypair: { name } });
    return text(record(answer, 'keypair'), 'private_key');
  }

  /** @returns the new instance's id */
  async makeServer(caller: Caller, server: { readonly name: string; readonly key_name: string }): Promise<string> {
    const { name, key_name } = server;
    const wanted = { name, key_name, flavorRef: '1', imageRef: '', metadata: { purpose: 'demo', 'hw:serial_port_count': '2' } };
    return text(record(await this.#request(caller, 'POST', '/servers', { server: wanted }), 'server'), 'id');
  }

  async deleteServer(caller: Caller, serverId: string): Promise<void> {
    await this.#request(caller, 'DELETE', `/servers/${serverId}`);
  }

  /** @returns the URL that opens the console: a secret, for its user's eyes only */
  async openConsole(caller: Caller, serverId: string, [protocol, type]: ConsoleKind): Promise<string> {
    const body = { remote_console: { protocol, type } };
    const answer = await this.#request(caller, 'POST', `/servers/${serverId}/remote-consoles`, body);
    return text(record(answer, 'remote_console'), 'url');
  }

  async #request(caller: Caller, method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(this.#base + path, {
      method,
      headers: {
        'x-auth-token': `${caller.userId}:${caller.projectId}`,
        'openstack-api-version': MICROVERSION,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const answer: unknown = await response.json().catch(() => null);
    if (response.ok) return answer;
    // A refusal's words are meant for the person who asked; a fault needs the place where it happened.
    if (response.status < 500) throw new ServiceError('FAILED_PRECONDITION', faultMessage(answer));
    throw new ServiceError('UNAVAILABLE', `${method} ${path.split('?', 1)[0]} was answered ${response.status}: ${faultMessage(answer)}`);
  }
}

function readServers(answer: unknown): readonly Server[] {
  return list(answer, 'servers').map((item) => ({
    id: text(item, 'id'), name: text(item, 'name'), status: text(item, 'status'),
    userId: text(item, 'user_id'), projectId: text(item, 'tenant_id'),
  }));
}

/** Nova's error body: `{"<faultName>": {"code": 409, "message": "..."}}`. */
function faultMessage(answer: unknown): string {
  const [fault] = typeof answer === 'object' && answer !== null ? (Object.values(answer) as unknown[]) : [];
  const hasMessage = typeof fault === 'object' && fault !== null && 'message' in fault;
  return hasMessage ? String(fault.message) : 'no explanation';
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function record(value: unknown, name: string): object {
  const found = member(value, name);
  if (typeof found === 'object' && found !== null) return found;
  throw new ServiceError('INTERNAL', `the api's answer has no object ${name}`);
}

function list(value: unknown, name: string): readonly unknown[] {
  const found = member(value, name);
  if (Array.isArray(found)) return found;
  throw new ServiceError('INTERNAL', `the api's answer has no list ${name}`);
}

function text(value: unknown, name: string): string {
  const found = member(value, name);
  if (typeof found === 'string') return found;
  throw new ServiceError('INTERNAL', `the api's answer has no text ${name}`);
}
