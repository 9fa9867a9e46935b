/** The actions on a guest where it is. */
import { randomBytes } from 'node:crypto';
import type { Power } from '../power.ts';
import { rebootBody, rebuildBody } from './action-schemas.ts';
import type { ActionAnswer, ServerActions } from './server-action.ts';
import { rebuiltServer } from './server-view.ts';

const ACCEPTED: ActionAnswer = { status: 202 };

export function powerActions(power: Power): ServerActions {
  return {
    'os-start': {
      async answer({ context }, id) {
        await power.start(context, id);
        return ACCEPTED;
      },
    },
    'os-stop': {
      async answer({ context }, id) {
        await power.stop(context, id);
        return ACCEPTED;
      },
    },
    reboot: {
      async answer({ context }, id, body) {
        await power.reboot(context, id, rebootBody(body).type.toUpperCase() === 'HARD' ? 'hardReboot' : 'softReboot');
        return ACCEPTED;
      },
    },
    rebuild: {
      async answer(call, id, body) {
        const { imageRef, name, metadata, hostname, key_name: keyName, user_data: userData, personality: files, adminPass } = rebuildBody(call.version)(body);
        const instance = await power.rebuild(call.context, id, { imageRef, name, metadata, hostName: hostname, keyName, userData, files });
        const server = rebuiltServer(instance, adminPass ?? randomBytes(9).toString('base64url'), call);
        return { status: 202, headers: { location: `${call.rootUrl}${call.prefix}/servers/${instance.uuid}` }, body: { server } };
      },
    },
  };
}
