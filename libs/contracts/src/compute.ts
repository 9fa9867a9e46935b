/** What a compute agent does for the api. Always directed to the agent of one host: `compute.<host>`. */
import { ConsoleConnection, CONSOLE_TYPES } from '@gatehouse/objects/console-connection';
import { ACCESS_LEVELS } from '@gatehouse/objects/console-session';
import { boolean, enumeration, integer, object, since, string, uuid } from '@gatehouse/objects/fields';
import { Instance } from '@gatehouse/objects/instance';
import { defineContract, method } from '@gatehouse/rpc/contract';

const endReason = () => string({ minLength: 1, maxLength: 255 });

export const compute = defineContract({
  topic: 'compute',
  version: '1.1',
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
    deleteInstance: method({
      since: '1.0',
      idempotent: true,
      /** What the users of its consoles are shown (libs/errors endings): a guest also leaves its host by moving. */
      args: { instanceUuid: uuid(), reason: since('1.1', endReason(), 'instance_deleted') },
    }),
    /** Switches the guest off and ends its consoles; the reason is for their users. */
    stopInstance: method({ since: '1.1', idempotent: true, args: { instanceUuid: uuid(), reason: endReason() } }),
    /** Switches on the guest of an instance whose row names this host. */
    startInstance: method({ since: '1.1', idempotent: true, args: { instance: object(Instance) } }),
    /** Off and on again; its consoles end. */
    rebootInstance: method({ since: '1.1', args: { instance: object(Instance) } }),
    /** Makes the guest anew, as the instance is described now; its consoles end. */
    rebuildInstance: method({ since: '1.1', args: { instance: object(Instance) } }),
    /**
     * Makes the guest of an instance that moves here, with consoles of its own, while its row still names the host that it
     * leaves; writes nothing of the row. `live`: as it runs there, which not every driver can (UNIMPLEMENTED).
     */
    receiveInstance: method({ since: '1.1', idempotent: true, args: { instance: object(Instance), live: boolean() } }),
    /** Whether this very console (instance, type, host, port, address and path) is one of the instance's at this moment. */
    confirmConsole: method({ since: '1.1', idempotent: true, args: { connection: object(ConsoleConnection) }, result: boolean() }),
    /** What the guest's first serial port printed lately; its last `length` lines, or all that is kept. */
    consoleOutput: method({ since: '1.1', idempotent: true, args: { instanceUuid: uuid(), length: integer({ min: 0 }).nullable() }, result: string() }),
  },
});
