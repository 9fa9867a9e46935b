/** X11 keysyms, which RFB names keys by (RFC 6143, 7.5.4): what they type and how a person calls them. */

export const KEYSYM = {
  backSpace: 0xff08,
  tab: 0xff09,
  enter: 0xff0d,
  escape: 0xff1b,
  home: 0xff50,
  left: 0xff51,
  up: 0xff52,
  right: 0xff53,
  down: 0xff54,
  end: 0xff57,
  keypadEnter: 0xff8d,
  keypadDelete: 0xff9f,
  delete: 0xffff,
} as const;

export type Modifier = 'Ctrl' | 'Alt' | 'Shift' | 'Super';

const MODIFIERS: ReadonlyMap<number, Modifier> = new Map([
  [0xffe1, 'Shift'],
  [0xffe2, 'Shift'],
  [0xffe3, 'Ctrl'],
  [0xffe4, 'Ctrl'],
  [0xffe7, 'Alt'],
  [0xffe8, 'Alt'],
  [0xffe9, 'Alt'],
  [0xffea, 'Alt'],
  [0xffeb, 'Super'],
  [0xffec, 'Super'],
]);

const NAMES: ReadonlyMap<number, string> = new Map([
  [0x20, 'Space'],
  [KEYSYM.backSpace, 'Backspace'],
  [KEYSYM.tab, 'Tab'],
  [KEYSYM.enter, 'Enter'],
  [KEYSYM.escape, 'Esc'],
  [KEYSYM.home, 'Home'],
  [KEYSYM.left, 'Left'],
  [KEYSYM.up, 'Up'],
  [KEYSYM.right, 'Right'],
  [KEYSYM.down, 'Down'],
  [0xff55, 'PgUp'],
  [0xff56, 'PgDn'],
  [KEYSYM.end, 'End'],
  [0xff61, 'Print'],
  [0xff63, 'Insert'],
  [0xff67, 'Menu'],
  [0xff13, 'Pause'],
  [0xff7f, 'NumLock'],
  [0xff14, 'ScrLock'],
  [0xffe5, 'CapsLock'],
  [KEYSYM.keypadEnter, 'Enter'],
  [KEYSYM.keypadDelete, 'Del'],
  [KEYSYM.delete, 'Del'],
  [0xfe03, 'AltGr'],
]);

/** Keypad keys (0xffaa to 0xffbd) carry their ASCII character in the low seven bits. */
const KEYPAD_FIRST = 0xffaa;
const KEYPAD_LAST = 0xffbd;
const F1 = 0xffbe;
const F12 = 0xffc9;
const UNICODE_BASE = 0x0100_0000;
const UNICODE_LAST = 0x0110_ffff;

export function modifierOf(keysym: number): Modifier | null {
  return MODIFIERS.get(keysym) ?? null;
}

/** The character a key types, or null. */
export function characterOf(keysym: number): string | null {
  if ((keysym >= 0x20 && keysym <= 0x7e) || (keysym >= 0xa0 && keysym <= 0xff)) return String.fromCharCode(keysym);
  if (keysym >= KEYPAD_FIRST && keysym <= KEYPAD_LAST) return String.fromCharCode(keysym & 0x7f);
  if (keysym > UNICODE_BASE + 0x1f && keysym <= UNICODE_LAST) return unicodeCharacter(keysym - UNICODE_BASE);
  return null;
}

/** What the cap of the key says; at most eight characters. */
export function keyName(keysym: number): string {
  const known = NAMES.get(keysym) ?? modifierOf(keysym) ?? characterOf(keysym);
  if (known !== null) return known;
  if (keysym >= F1 && keysym <= F12) return `F${keysym - F1 + 1}`;
  return `0x${keysym.toString(16)}`.slice(0, 8);
}

function unicodeCharacter(code: number): string | null {
  const isControl = code >= 0x7f && code < 0xa0;
  const isSurrogate = code >= 0xd800 && code <= 0xdfff;
  return isControl || isSurrogate ? null : String.fromCodePoint(code);
}
