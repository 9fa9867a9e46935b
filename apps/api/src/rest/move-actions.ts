/** The actions that give a server another host, or none. */
import { randomBytes } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { Moves } from '../moves.ts';
import type { ApiCall } from './api-call.ts';
import { evacuateBody, isTrue, migrateBody, migrateLiveBody, resetStateBody, resizeBody, unshelveBody } from './action-schemas.ts';
import type { JsonObject } from './json.ts';
import type { ActionAnswer, ServerAction, ServerActions } from './server-action.ts';

export function moveActions(moves: Moves): ServerActions {
  return {
    resize: answering(202, ({ context }, id, body) => moves.resize(context, id, String(resizeBody(body).flavorRef))),
    confirmResize: answering(204, ({ context }, id) => moves.confirmResize(context, id)),
    revertResize: answering(202, ({ context }, id) => moves.revertResize(context, id)),
    shelve: answering(202, ({ context }, id) => moves.shelve(context, id)),
    shelveOffload: answering(202, ({ context }, id) => moves.shelveOffload(context, id)),
    unshelve: answering(202, ({ context, version }, id, body) => {
      const { availability_zone: zone, host } = unshelveBody(version)(body);
      return moves.unshelve(context, id, { zone: zone ?? undefined, host });
    }),
    migrate: answering(202, ({ context, version }, id, body) => moves.migrate(context, id, migrateBody(version)(body).host ?? null)),
    'os-migrateLive': answering(202, ({ context, version }, id, body) => {
      const { host, force } = migrateLiveBody(version)(body);
      refuseForce(force, host);
      return moves.liveMigrate(context, id, host);
    }),
    'os-resetState': answering(202, ({ context }, id, body) => moves.resetState(context, id, resetStateBody(body).state)),
    evacuate: {
      async answer({ context, version }, id, body) {
        const { host = null, force, adminPass, onSharedStorage } = evacuateBody(version)(body);
        refuseForce(force, host);
        const keepsDisk = isTrue(onSharedStorage);
        if (keepsDisk && adminPass !== undefined) throw new ServiceError('INVALID_ARGUMENT', "admin password can't be changed on existing disk");
        await moves.evacuate(context, id, host);
        return version < 14 ? { status: 200, body: { adminPass: keepsDisk ? null : (adminPass ?? randomBytes(9).toString('base64url')) } } : { status: 200 };
      },
    },
  };
}

function answering(status: number, act: (call: ApiCall, id: string, body: JsonObject) => Promise<void>): ServerAction {
  return {
    async answer(call, id, body): Promise<ActionAnswer> {
      await act(call, id, body);
      return { status };
    },
  };
}

function refuseForce(force: boolean | string | undefined, host: string | null): void {
  if (isTrue(force) && host === null) throw new ServiceError('INVALID_ARGUMENT', "Can't force to a non-provided destination");
}
