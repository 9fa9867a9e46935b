/** The proxy's end of a console whose bytes come in its call (messages-console.ts has the host's): at agents before 3.2, and where nothing else gets through. */
import { createChannel } from './attach-channel.ts';
import type { Channel } from './attach-channel.ts';
import { encodeRequest } from './attach-messages.ts';
import type { Opened } from './attach-messages.ts';
import { streamEnding } from './console-ended.ts';
import type { ProxyCall } from './proxy-call.ts';

export function openChannel(call: ProxyCall, opened: Opened, windowBytes: number): Channel {
  let over = false;
  const finish = (last: () => void): void => {
    if (over) return;
    over = true;
    last();
  };
  return createChannel({
    wire: {
      sendData(data) {
        // Encoded, and so copied, at once: what was written counts as taken, and its memory is used again while gRPC still queues.
        if (!over) call.write(encodeRequest({ data }));
      },
      sendEnd: (end) => finish(() => { call.write(encodeRequest({ end })); call.end(); }),
      abort() {
        // Also after our own end: its user has waited long enough for the host's.
        over = true;
        call.cancel();
      },
    },
    sendOffset: opened.inputOffset,
    receiveOffset: opened.outputOffset,
    sendWindowBytes: opened.windowBytes,
    receiveWindowBytes: windowBytes,
    ownEnding: streamEnding('client_closed'),
  });
}
