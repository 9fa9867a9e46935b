/**
 * spice-html5 as the pages use it. It is taken as its authors publish it; what is adjusted from outside, and why:
 *
 *   WebSocket       it opens one for each channel and names a subprotocol of its own: the first gets the page's channel, the
 *                   others show the page's link and its session's grant, by which they join the session
 *   input           its handlers lose the keyboard with the pointer and know few keys: spice-input.js has its own
 *   errors          one of a channel without a listener would be thrown where nobody catches it
 *   cursors         for a browser that has none it would open a dialogue
 */
import { SpiceDisplayConn } from '../spice/src/display.js';
import { SpiceInputsConn } from '../spice/src/inputs.js';
import { SpiceMainConn } from '../spice/src/main.js';
import { SpiceSimulateCursor } from '../spice/src/simulatecursor.js';
import { SpiceConn } from '../spice/src/spiceconn.js';

const MAIN = 'main';
const [DISPLAY_TYPE, INPUTS_TYPE] = [2, 3];
/** When the session ends all channels close, and the first one knows why: it gets this long to say so. */
const LAST_WORDS_MS = 1_000;

const NativeWebSocket = globalThis.WebSocket;
/** The console that is shown: { channel, link, events }. */
let shown = null;

/** Of the page's sockets only those that spice-html5 opens name one subprotocol, and as a string. */
globalThis.WebSocket = new Proxy(NativeWebSocket, {
  construct(target, [url, protocols]) {
    if (shown === null || protocols !== 'binary') return new target(url, protocols);
    return url === MAIN ? mainSocket(shown) : channelSocket(shown, url);
  },
});

SpiceConn.prototype.report_error = function (error) {
  this.log_err(error.toString());
};
SpiceSimulateCursor.simulate_cursor = () => {};
SpiceDisplayConn.prototype.hook_events = function () {
  // It looks into its cache before it has made one.
  this.cache ??= {};
  shown?.events.screen(this.surfaces[this.primary_surface].canvas);
};
SpiceDisplayConn.prototype.unhook_events = () => {};
const heard = SpiceInputsConn.prototype.process_channel_message;
SpiceInputsConn.prototype.process_channel_message = function (message) {
  const known = heard.call(this, message);
  shown?.events.inputs(this);
  return known;
};

/**
 * Shows the console of the channel in the element with that id. `events.screen(canvas)` is called for each new screen,
 * `events.inputs(conn)` whenever the machine's inputs have spoken. Answers { stop(), mouseMode }.
 */
export function openSpice({ channel, link, screenId, events }) {
  const mine = { channel, link, events };
  shown = mine;
  const main = new SpiceMainConn({ uri: MAIN, password: '', screen_id: screenId });
  return {
    get mouseMode() {
      return main.mouse_mode;
    },
    stop() {
      if (shown === mine) shown = null;
      main.stop();
    },
  };
}

/** What a WebSocket has, as far as spice-html5 asks: the page's channel, which is open. */
function mainSocket({ channel }) {
  const url = new URL('websockify?console_type=spice-html5', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = Object.assign(new EventTarget(), {
    url: url.href,
    readyState: NativeWebSocket.OPEN,
    binaryType: 'arraybuffer',
    send: (bytes) => channel.send(bytes),
    close: () => channel.close(),
  });
  channel.onmessage = ({ data }) => socket.dispatchEvent(new MessageEvent('message', { data }));
  queueMicrotask(() => socket.dispatchEvent(new Event('open')));
  return socket;
}

function channelSocket(mine, url) {
  const { token, resume } = mine.link;
  const socket = new NativeWebSocket(url, ['binary', `token.${token}`, ...(resume ? [`resume.${resume}`] : [])]);
  socket.addEventListener('close', ({ reason }) => {
    // Without these two nothing is to be seen, or nothing can be done; without another something is missing.
    if (shown !== mine || ![DISPLAY_TYPE, INPUTS_TYPE].includes(socket.parent?.type)) return;
    setTimeout(() => shown === mine && mine.channel.failed(reason || 'The connection to the screen of this machine was lost.'), LAST_WORDS_MS);
  });
  return socket;
}
