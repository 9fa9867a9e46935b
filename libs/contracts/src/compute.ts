/** What a compute agent does for the api. Always directed to the agent of one host: `compute.<host>`. */
import { ConsoleConnection, CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import { ACCESS_LEVELS } from '@gatehouse/objects/console-session';
import { enumeration, object, uuid } from '@gatehouse/objects/fields';
import { Instance } from '@gatehouse/objects/instance';
import { defineContract, method } from '@gatehouse/rpc/contract';

export const compute = defineContract({
  topic: 'compute',
  version: '1.0',
  objects: {
    '1.0': { ConsoleConnection: '1.0', Instance: '2.7', KeyPairList: '1.3', KeyPair: '1.4' },
  },
  methods: {
    /** An authorized console of the instance: its access URL carries the token. */
    getConsole: method({
      since: '1.0',
      args: { instanceUuid: uuid(), consoleType: enumeration(CONSOLE_TYPES), access: enumeration(ACCESS_LEVELS).default('full') },
      result: object(ConsoleConnection),
    }),
    /** Makes the guest of an instance whose row names this host; the agent writes the instance's state. */
    createInstance: method({ since: '1.0', args: { instance: object(Instance) } }),
    /** Ends the guest; answers also when there is none. */
    deleteInstance: method({ since: '1.0', idempotent: true, args: { instanceUuid: uuid() } }),
  },
});
