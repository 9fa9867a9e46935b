/**
 * The way to the console: a WebSocket that speaks gatehouse.v1. Binary messages are the console's own bytes; text
 * messages are JSON control and are kept from whoever shows the console. To noVNC it looks like a WebSocket (see
 * rawChannelProps in its core/websock.js).
 */

export class ConsoleChannel {
  // What a WebSocket has, as far as noVNC asks.
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;

  /** Called with every control message. */
  oncontrol = () => {};
  /** Called once, at the end, with the close code and the reason in words. */
  onend = () => {};

  #socket;
  /** Output that came before anybody listened. */
  #early = [];
  /** The reason in full; a close frame has room for 123 bytes only. */
  #endReason = null;
  #wasOpen = false;

  /** `consoleType` is what the page can show; the proxy refuses a link to anything else. */
  constructor({ token, resume }, consoleType) {
    const url = new URL('websockify', location.href);
    url.searchParams.set('console_type', consoleType);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const credentials = [`token.${token}`, ...(resume === null ? [] : [`resume.${resume}`])];
    this.#socket = new WebSocket(url, ['gatehouse.v1', 'binary', ...credentials]);
    this.#socket.binaryType = 'arraybuffer';
    this.#socket.onopen = (event) => {
      this.#wasOpen = true;
      this.onopen?.(event);
    };
    this.#socket.onmessage = (event) => this.#received(event);
    this.#socket.onerror = (event) => this.onerror?.(event);
    this.#socket.onclose = (event) => {
      // The page first: noVNC takes its picture away when it hears of the end.
      this.onend({ code: event.code, reason: this.#endReason ?? event.reason, wasOpen: this.#wasOpen });
      this.onclose?.(event);
    };
  }

  get protocol() {
    return this.#socket.protocol;
  }

  get readyState() {
    return this.#socket.readyState;
  }

  get binaryType() {
    return 'arraybuffer';
  }

  set binaryType(value) {
    // noVNC sets what we have anyway.
  }

  send(bytes) {
    this.#socket.send(bytes);
  }

  /** The user is there, though nothing is to be typed into the machine. */
  stay() {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send('{"type":"stay"}');
  }

  close(code, reason) {
    this.#socket.close(code, reason);
  }

  /** What shows the console cannot go on: it ends, with this as the reason unless the proxy has told another. */
  failed(words) {
    this.#endReason ??= words;
    this.#socket.close();
  }

  /** To be called when onmessage is in place: hands over what came before. */
  flush() {
    for (const event of this.#early.splice(0)) this.onmessage(event);
  }

  #received(event) {
    if (typeof event.data === 'string') this.#control(JSON.parse(event.data));
    else if (this.onmessage === null) this.#early.push(event);
    else this.onmessage(event);
  }

  #control(message) {
    if (message.type === 'end') this.#endReason = message.reason;
    this.oncontrol(message);
  }
}
