/**
 * Where Nova's clients look for the quota of key pairs: among the limits, with what one request may bring for a server, and in
 * the quota sets. Nothing else has a limit here, so nothing else is named there; what a quota set's user has is told as it is
 * (Nova always says 0).
 */
import { Controller, Get, Inject, Param } from '@nestjs/common';
import { ServiceError } from '@gatehouse/errors/service-error';
import { INJECTED_FILES_MAX, INJECTED_FILE_CHARS_MAX } from '../injected-files.ts';
import { METADATA_ITEMS_MAX } from '../instances.ts';
import { KeyPairs } from '../key-pairs.ts';
import { Call } from './api-call.ts';
import type { ApiCall } from './api-call.ts';
import type { JsonObject } from './json.ts';
import { limitsQuery, quotaSetQuery } from './key-pair-schemas.ts';
import { API_PREFIXES } from './prefixes.ts';

/** From there on a request brings no files. */
const NO_FILES_SINCE = 57;

@Controller([...API_PREFIXES])
export class KeyPairQuotaController {
  readonly #keyPairs: KeyPairs;

  constructor(@Inject(KeyPairs) keyPairs: KeyPairs) {
    this.#keyPairs = keyPairs;
  }

  @Get('limits')
  limits(@Call() call: ApiCall): JsonObject {
    const { tenant_id: projects = [] } = limitsQuery(call.version)(call.query);
    for (const project of projects) permit(call, project, 'limits:other_project');
    const files = call.version < NO_FILES_SINCE ? { maxPersonality: INJECTED_FILES_MAX, maxPersonalitySize: INJECTED_FILE_CHARS_MAX } : {};
    return { limits: { rate: [], absolute: { maxServerMeta: METADATA_ITEMS_MAX, ...files, maxTotalKeypairs: this.#keyPairs.quota } } };
  }

  @Get('os-quota-sets/:id')
  show(@Call() call: ApiCall, @Param('id') id: string): JsonObject {
    permit(call, id, 'os-quota-sets:show');
    quotaSetQuery(call.version)(call.query);
    return { quota_set: { id, key_pairs: this.#keyPairs.quota } };
  }

  @Get('os-quota-sets/:id/defaults')
  defaults(@Param('id') id: string): JsonObject {
    return { quota_set: { id, key_pairs: this.#keyPairs.quota } };
  }

  /** Of the user that the query names, else of the caller: key pairs belong to users, whatever the project. */
  @Get('os-quota-sets/:id/detail')
  async detail(@Call() call: ApiCall, @Param('id') id: string): Promise<JsonObject> {
    permit(call, id, 'os-quota-sets:detail');
    const { user_id: [asked] = [] } = quotaSetQuery(call.version)(call.query);
    const inUse = await this.#keyPairs.count(call.context, asked ?? call.context.userId ?? '');
    return { quota_set: { id, key_pairs: { in_use: inUse, limit: this.#keyPairs.quota, reserved: 0 } } };
  }
}

function permit({ context }: ApiCall, project: string, rule: string): void {
  if (context.isAdmin || context.projectId === project) return;
  throw new ServiceError('PERMISSION_DENIED', `Policy doesn't allow os_compute_api:${rule} to be performed.`);
}
