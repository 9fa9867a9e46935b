/**
 * What helps a user to type: the panels for text and for keys, modifiers that stay pressed, the phone's keyboard, and the way from the
 * console to them and back. All of it works on the viewer that is attached, and on none between consoles.
 */
import { KeyPanel } from './key-panel.js';
import { sendChord } from './keys.js';
import { watchLeaveChord } from './leave-chord.js';
import { PhoneKeyboard } from './phone-keyboard.js';
import { StickyModifiers } from './sticky-modifiers.js';
import { TypePanel } from './type-panel.js';

const byId = (id) => document.getElementById(id);

export class InputTools {
  #viewer = null;
  #modifiers;
  #typePanel;
  #phoneKeyboard = null;
  #focusConsole;

  /** `keyboard` is what the page's machine has (see screen-keyboard.js); `leave()` leads the user's focus out of the console. */
  constructor(keyboard, leave) {
    this.#focusConsole = () => this.#viewer?.focus();
    this.#modifiers = new StickyModifiers({
      hold: (name) => this.#viewer !== null && keyboard.hold(this.#viewer, name),
      release: (name) => this.#viewer !== null && keyboard.release(this.#viewer, name),
    });
    new KeyPanel(byId('key-panel'), { keyboard, modifiers: this.#modifiers, pressed: (press) => this.#press(press), closed: () => this.#toggle('keys', 'key-panel') });
    this.#typePanel = new TypePanel(keyboard, this.#focusConsole);
    if (keyboard.layouts.length > 0) {
      const sendKey = (...key) => this.#press((viewer) => viewer.sendKey(...key), key[2] === false);
      this.#phoneKeyboard = new PhoneKeyboard(byId('stage'), { sendKey, layout: () => this.#typePanel.layout });
    }
    this.#wire(leave);
  }

  /** For a viewer that changes what is typed by itself. */
  get modifiers() {
    return this.#modifiers;
  }

  /** From now on everything goes to this viewer, as soon as it takes keys; `viewOnly`: nothing may. */
  async attach(viewer, viewOnly) {
    this.#viewer = viewer;
    await viewer.ready;
    if (this.#viewer !== viewer || viewOnly) return;
    this.#typePanel.attach(viewer);
    enableTools(true);
  }

  detach() {
    this.#modifiers.releaseAll();
    this.#typePanel.attach(null);
    this.#viewer = null;
    this.#phoneKeyboard?.close();
    enableTools(false);
    this.#closePanels();
  }

  #press(press, isWhole = true) {
    if (this.#viewer === null) return;
    press(this.#viewer);
    if (isWhole) this.#modifiers.used();
  }

  #wire(leave) {
    for (const [button, panel] of [['type-text', 'type-panel'], ['keys', 'key-panel']]) byId(button).addEventListener('click', () => this.#toggle(button, panel));
    byId('type-close').addEventListener('click', () => this.#toggle('type-text', 'type-panel'));
    byId('ctrl-alt-del').addEventListener('click', () => this.#press((viewer) => sendChord(viewer, 'Ctrl-Alt-Del')));
    byId('keyboard').addEventListener('click', () => this.#openKeyboard());
    for (const id of ['bar', 'key-panel']) keepFocusElsewhere(byId(id));
    for (const id of ['bar', 'key-panel', 'type-panel']) {
      byId(id).addEventListener('keydown', (event) => event.key === 'Escape' && this.#focusConsole());
    }
    watchLeaveChord(byId('console'), leave);
    // A key on the real keyboard is over: what held for it alone is, too, once the machine has heard of it.
    byId('console').addEventListener('keyup', ({ code }) => /^(Control|Alt|Shift|Meta)/.test(code) || setTimeout(() => this.#modifiers.used(), 0), true);
    addEventListener('blur', () => this.#modifiers.releaseAll());
  }

  #openKeyboard() {
    if (this.#phoneKeyboard === null) this.#focusConsole();
    else if (this.#phoneKeyboard.isOpen) this.#phoneKeyboard.close();
    else this.#phoneKeyboard.open();
  }

  /** One panel at a time: there is little room above a console. */
  #toggle(button, panel) {
    const opens = byId(panel).hidden;
    this.#closePanels();
    if (!opens) return this.#focusConsole();
    if (panel === 'type-panel') this.#modifiers.releaseAll();
    byId(panel).hidden = false;
    byId(button).setAttribute('aria-expanded', 'true');
    if (panel === 'type-panel') this.#typePanel.opened();
  }

  #closePanels() {
    for (const [button, panel] of [['type-text', 'type-panel'], ['keys', 'key-panel']]) {
      byId(panel).hidden = true;
      byId(button).setAttribute('aria-expanded', 'false');
    }
    this.#typePanel.closed();
    this.#modifiers.releaseAll();
  }
}

function enableTools(enabled) {
  for (const tool of document.querySelectorAll('.needs-input')) tool.disabled = !enabled;
}

/** A button that is clicked leaves the keys where they go: a phone's keyboard would close, and the console lose its user's typing. */
function keepFocusElsewhere(element) {
  element.addEventListener('mousedown', (event) => event.target.closest('button') !== null && event.preventDefault());
}
