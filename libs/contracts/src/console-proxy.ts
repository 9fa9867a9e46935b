/** What a console proxy does for consoleauth. Always directed to one proxy: `console-proxy.<name>`. */
import { mapOf, string } from '@gatehouse/objects/fields';
import { defineContract, method } from '@gatehouse/rpc/contract';

export const consoleProxy = defineContract({
  topic: 'console-proxy',
  version: '1.0',
  methods: {
    /** Ends sessions at once: session id to the reason their users are shown. Unknown ids are passed over. */
    endSessions: method({ since: '1.0', idempotent: true, args: { sessions: mapOf(string({ minLength: 1, maxLength: 255 })) } }),
  },
});
