/** What may stand in the body of POST servers/{id}/action: one name, and what is done under it. */
import type { ApiCall } from './api-call.ts';
import type { JsonObject } from './json.ts';
import type { Microversion } from './microversion.ts';

export interface ActionAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: JsonObject;
}

export interface ServerAction {
  /** The newest microversion that has it; every later one when unset. */
  readonly until?: Microversion;
  answer(call: ApiCall, id: string, body: JsonObject): Promise<ActionAnswer>;
}

export type ServerActions = Readonly<Record<string, ServerAction>>;
