/**
 * Opens a phone's keyboard for a machine with a screen. A phone shows one only for a text field, and tells of what is typed only by
 * what becomes of the field's text (words are completed and corrected there). So a field that nobody sees holds some filler, and the
 * difference after each change is typed into the machine.
 */
import { KEYS } from './keys.js';
import { keysymOf, strokesOf } from './keyboard-layouts.js';

/** Something to delete, and where the field begins anew before it grows long. */
const FILLER = '_'.repeat(60);
const TEXT_CHARACTERS_MAX = 500;

export class PhoneKeyboard {
  #field = document.createElement('textarea');
  #before = '';
  #sendKey;

  /** The field goes into `parent`; `sendKey(keysym, code, down)` gets the keys, `layout()` names the machine's. */
  constructor(parent, { sendKey, layout }) {
    this.#sendKey = sendKey;
    const field = this.#field;
    field.id = 'phone-keyboard';
    field.setAttribute('aria-label', 'Keyboard of the machine');
    field.tabIndex = -1;
    for (const name of ['autocomplete', 'autocapitalize', 'autocorrect']) field.setAttribute(name, 'off');
    field.spellcheck = false;
    field.addEventListener('input', () => this.#typed(layout()));
    field.addEventListener('keydown', (event) => this.#special(event));
    field.addEventListener('blur', () => this.#reset());
    this.#reset();
    parent.append(field);
  }

  get isOpen() {
    return document.activeElement === this.#field;
  }

  open() {
    this.#reset();
    this.#field.focus({ preventScroll: true });
  }

  close() {
    this.#field.blur();
  }

  #typed(layout) {
    const now = this.#field.value;
    const same = commonStart(this.#before, now);
    for (let deleted = [...this.#before.slice(same)].length; deleted > 0; deleted--) this.#press(null, ...KEYS.Backspace);
    for (const character of now.slice(same)) {
      const strokes = strokesOf(layout, character) ?? [{ modifier: null, keysym: keysymOf(character), code: '' }];
      for (const { modifier, keysym, code } of strokes) this.#press(modifier, keysym, code);
    }
    this.#before = now;
    if (now.length < FILLER.length / 2 || now.length > TEXT_CHARACTERS_MAX) this.#reset();
  }

  /** Keys that change no text. */
  #special(event) {
    const name = { Tab: 'Tab', Escape: 'Esc', ArrowLeft: 'Left', ArrowRight: 'Right', ArrowUp: 'Up', ArrowDown: 'Down', Home: 'Home', End: 'End' }[event.key];
    if (name === undefined) return;
    event.preventDefault();
    this.#press(null, ...KEYS[name]);
  }

  #press(modifier, keysym, code) {
    if (modifier !== null) this.#sendKey(...KEYS[modifier], true);
    this.#sendKey(keysym, code, true);
    this.#sendKey(keysym, code, false);
    if (modifier !== null) this.#sendKey(...KEYS[modifier], false);
  }

  #reset() {
    this.#field.value = FILLER;
    this.#before = FILLER;
    this.#field.setSelectionRange(FILLER.length, FILLER.length);
  }
}

function commonStart(one, other) {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at += 1;
  return at;
}
