/** The keyboard and the pointer of a SPICE screen: what a user does on the page's element becomes messages to the machine's inputs. */
import { Constants } from '../spice/src/enums.js';
import { SpiceMiniData, SpiceMsgcKeyDown, SpiceMsgcMousePosition, SpiceMsgcMousePress } from '../spice/src/spicemsg.js';
import { scancodeOf } from './spice-scancodes.js';

/** Movements that the machine has not acknowledged; the server does so after each four. */
const UNACKNOWLEDGED_MAX = 2 * Constants.SPICE_INPUT_MOTION_ACK_BUNCH;
/** PointerEvent's button to SPICE's, and to its place among the pressed ones. */
const BUTTONS = [Constants.SPICE_MOUSE_BUTTON_LEFT, Constants.SPICE_MOUSE_BUTTON_MIDDLE, Constants.SPICE_MOUSE_BUTTON_RIGHT];

export class SpiceInput {
  #element;
  /** Answers the pointer's mode, which the machine chooses. */
  #mouseMode;
  #conn = null;
  #canvas = null;
  /** Codes of keys that are down, to be let go when the element is left. */
  #down = new Set();
  #pressed = 0;
  #at = null;
  #sentAt = null;
  #frame = null;
  #stopped = new AbortController();

  constructor(element, mouseMode) {
    this.#element = element;
    this.#mouseMode = mouseMode;
    const { signal } = this.#stopped;
    const on = (type, listener, options = {}) => element.addEventListener(type, listener, { ...options, signal });
    on('keydown', (event) => this.#key(event, true));
    on('keyup', (event) => this.#key(event, false));
    on('blur', () => this.#letGo());
    on('pointerdown', (event) => this.#button(event, true));
    on('pointerup', (event) => this.#button(event, false));
    on('pointercancel', (event) => this.#button(event, false));
    on('pointermove', (event) => this.#move(event));
    on('wheel', (event) => this.#wheel(event), { passive: false });
    on('contextmenu', (event) => event.preventDefault());
  }

  /** From now on to this channel of the machine's. */
  attach(conn) {
    this.#conn = conn;
  }

  /** From now on on this picture. */
  look(canvas) {
    this.#canvas = canvas;
  }

  stop() {
    this.#stopped.abort();
    cancelAnimationFrame(this.#frame);
    this.#conn = null;
  }

  sendKey(code, down) {
    const scancode = scancodeOf(code, down);
    if (scancode === null) return;
    const key = new SpiceMsgcKeyDown();
    key.code = scancode;
    this.#send(down ? Constants.SPICE_MSGC_INPUTS_KEY_DOWN : Constants.SPICE_MSGC_INPUTS_KEY_UP, key);
  }

  #key(event, down) {
    event.preventDefault();
    // A key that went down elsewhere is not let go here.
    if (!down && !this.#down.delete(event.code)) return;
    if (down) this.#down.add(event.code);
    this.sendKey(event.code, down);
    // A Mac tells of no other key's end while Command is down.
    if (!down && event.code.startsWith('Meta')) this.#letGo();
  }

  #letGo() {
    for (const code of this.#down) this.sendKey(code, false);
    this.#down.clear();
  }

  #button(event, isDown) {
    const button = BUTTONS[event.button];
    if (button === undefined || this.#canvas === null || (event.pointerType === 'touch' && this.#element.classList.contains('panned'))) return;
    if (isDown) {
      this.#element.focus({ preventScroll: true });
      this.#element.setPointerCapture(event.pointerId);
      event.preventDefault();
    }
    this.#move(event);
    this.#sendMove();
    const mask = 1 << event.button;
    this.#pressed = isDown ? this.#pressed | mask : this.#pressed & ~mask;
    this.#press(isDown, button);
  }

  #press(isDown, button) {
    const press = new SpiceMsgcMousePress();
    press.button = button;
    press.buttons_state = this.#pressed;
    this.#send(isDown ? Constants.SPICE_MSGC_INPUTS_MOUSE_PRESS : Constants.SPICE_MSGC_INPUTS_MOUSE_RELEASE, press);
  }

  #wheel(event) {
    event.preventDefault();
    if (event.deltaY === 0) return;
    const button = event.deltaY < 0 ? Constants.SPICE_MOUSE_BUTTON_UP : Constants.SPICE_MOUSE_BUTTON_DOWN;
    this.#press(true, button);
    this.#press(false, button);
  }

  /** One movement a frame: what is in between nobody sees. */
  #move(event) {
    if (this.#canvas === null) return;
    this.#at = placeIn(this.#canvas, event);
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#sendMove();
    });
  }

  #sendMove() {
    if (this.#conn === null || this.#at === null) return;
    if (this.#conn.waiting_for_ack >= UNACKNOWLEDGED_MAX) {
      // The last place is told as soon as the machine has kept up.
      this.#frame ??= requestAnimationFrame(() => {
        this.#frame = null;
        this.#sendMove();
      });
      return;
    }
    const isAbsolute = this.#mouseMode() === Constants.SPICE_MOUSE_MODE_CLIENT;
    const from = isAbsolute ? { x: 0, y: 0 } : (this.#sentAt ?? this.#at);
    const move = new SpiceMsgcMousePosition({});
    Object.assign(move, { x: this.#at.x - from.x, y: this.#at.y - from.y, buttons_state: this.#pressed });
    this.#conn.waiting_for_ack += 1;
    this.#send(isAbsolute ? Constants.SPICE_MSGC_INPUTS_MOUSE_POSITION : Constants.SPICE_MSGC_INPUTS_MOUSE_MOTION, move);
    this.#sentAt = this.#at;
    this.#at = null;
  }

  #send(type, body) {
    if (this.#conn?.state !== 'ready') return;
    const message = new SpiceMiniData();
    message.build_msg(type, body);
    this.#conn.send_msg(message);
  }
}

/** Where on the picture a pointer is: fitted, the picture keeps its shape in the middle of its element. */
function placeIn(canvas, { clientX, clientY }) {
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const left = box.left + (box.width - canvas.width * scale) / 2;
  const top = box.top + (box.height - canvas.height * scale) / 2;
  const within = (value, size) => Math.max(0, Math.min(size - 1, Math.round(value / scale)));
  return { x: within(clientX - left, canvas.width), y: within(clientY - top, canvas.height) };
}
