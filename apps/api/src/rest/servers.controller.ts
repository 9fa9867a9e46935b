import { randomBytes } from 'node:crypto';
import { Body, Controller, Delete, Get, HttpCode, HttpStatus, Inject, Param, Post, Res } from '@nestjs/common';
import type { StoredInstance } from '@gatehouse/cell-db/instances-store';
import { ServiceError } from '@gatehouse/errors/service-error';
import { INSTANCES_PAGE_MAX, Instances } from '../instances.ts';
import { Call } from './api-call.ts';
import type { ApiCall } from './api-call.ts';
import type { JsonObject, JsonValue } from './json.ts';
import { API_PREFIXES } from './prefixes.ts';
import type { Reply } from './reply.ts';
import { createServerBody, isTrue } from './server-schemas.ts';
import { briefServer, createdServer, detailedServer } from './server-view.ts';

@Controller(API_PREFIXES.map((prefix) => `${prefix}/servers`))
export class ServersController {
  readonly #instances: Instances;

  constructor(@Inject(Instances) instances: Instances) {
    this.#instances = instances;
  }

  @Post()
  async create(@Call() call: ApiCall, @Body() body: JsonValue, @Res({ passthrough: true }) reply: Reply): Promise<JsonObject> {
    const { server } = createServerBody(call.version)(body);
    const instance = await this.#instances.create(call.context, {
      name: server.name,
      keyName: server.key_name,
      keyNames: server.key_names,
      files: server.personality,
      userData: server.user_data,
      metadata: server.metadata,
      availabilityZone: server.availability_zone,
      imageRef: server.imageRef === '' ? undefined : server.imageRef,
      flavorRef: server.flavorRef === undefined ? undefined : String(server.flavorRef),
      hostName: server.hostname,
      configDrive: isTrue(server.config_drive),
    });
    reply.status(HttpStatus.ACCEPTED).header('location', `${call.rootUrl}${call.prefix}/servers/${instance.uuid}`);
    return createdServer(instance, server.adminPass ?? randomBytes(9).toString('base64url'), call);
  }

  @Get()
  list(@Call() call: ApiCall): Promise<JsonObject> {
    return this.#list(call, '', briefServer);
  }

  @Get('detail')
  listDetails(@Call() call: ApiCall): Promise<JsonObject> {
    return this.#list(call, '/detail', detailedServer);
  }

  @Get(':id')
  async show(@Call() call: ApiCall, @Param('id') id: string): Promise<JsonObject> {
    return { server: detailedServer(await this.#instances.show(call.context, id), call) };
  }

  @Delete(':id')
  @HttpCode(HttpStatus.NO_CONTENT)
  async delete(@Call() call: ApiCall, @Param('id') id: string): Promise<void> {
    await this.#instances.delete(call.context, id);
  }

  async #list(call: ApiCall, path: string, view: (instance: StoredInstance, call: ApiCall) => JsonObject): Promise<JsonObject> {
    const limit = limitOf(call);
    const allProjects = flagOf(call, 'all_tenants');
    const found = await this.#instances.list(call.context, { allProjects, limit, marker: call.query['marker']?.at(-1) });
    const last = found.at(-1);
    const isFull = last !== undefined && found.length >= limit;
    const links = isFull ? { servers_links: [{ rel: 'next', href: nextPage(call, path, last.uuid) }] } : {};
    const name = call.query['name']?.at(-1);
    // Nova matches names by a regular expression of the caller's; here a part of the name is enough.
    const shown = name === undefined ? found : found.filter((each) => (each.displayName ?? '').includes(name));
    return { servers: shown.map((instance) => view(instance, call)), ...links };
  }
}

function limitOf(call: ApiCall): number {
  const text = call.query['limit']?.at(-1);
  if (text === undefined) return INSTANCES_PAGE_MAX;
  if (!/^\d{1,9}$/.test(text)) {
    throw new ServiceError('INVALID_ARGUMENT', `Invalid input for query parameters limit. Value: ${text.slice(0, 100)}. A number is expected`);
  }
  return Math.min(Number(text), INSTANCES_PAGE_MAX);
}

/** `?all_tenants` alone means yes, as in Nova. */
function flagOf(call: ApiCall, name: string): boolean {
  const text = call.query[name]?.at(-1)?.toLowerCase();
  return text !== undefined && ['', '1', 'true', 't', 'yes', 'y', 'on'].includes(text);
}

function nextPage(call: ApiCall, path: string, marker: string): string {
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(call.query)) {
    const last = values.at(-1);
    if (name !== 'marker' && last !== undefined) query.append(name, last);
  }
  query.append('marker', marker);
  return `${call.rootUrl}${call.prefix}/servers${path}?${query.toString()}`;
}
