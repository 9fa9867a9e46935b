/**
 * The keys that have names: X11 keysym (RFC 6143, 7.5.4) and the place on a keyboard (KeyboardEvent.code). A guest goes by one
 * or the other, so a viewer is always told both.
 */

export const KEYS = Object.freeze({
  Ctrl: [0xffe3, 'ControlLeft'],
  Alt: [0xffe9, 'AltLeft'],
  Shift: [0xffe1, 'ShiftLeft'],
  Super: [0xffeb, 'MetaLeft'],
  AltGr: [0xfe03, 'AltRight'],

  Esc: [0xff1b, 'Escape'],
  Tab: [0xff09, 'Tab'],
  Enter: [0xff0d, 'Enter'],
  Backspace: [0xff08, 'Backspace'],
  Space: [0x20, 'Space'],
  Insert: [0xff63, 'Insert'],
  Del: [0xffff, 'Delete'],
  Home: [0xff50, 'Home'],
  End: [0xff57, 'End'],
  PgUp: [0xff55, 'PageUp'],
  PgDn: [0xff56, 'PageDown'],
  Left: [0xff51, 'ArrowLeft'],
  Up: [0xff52, 'ArrowUp'],
  Down: [0xff54, 'ArrowDown'],
  Right: [0xff53, 'ArrowRight'],
  Print: [0xff61, 'PrintScreen'],
  SysRq: [0xff15, 'PrintScreen'],
  Pause: [0xff13, 'Pause'],
  Menu: [0xff67, 'ContextMenu'],
  CapsLock: [0xffe5, 'CapsLock'],
  NumLock: [0xff7f, 'NumLock'],

  ...Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`F${i + 1}`, [0xffbe + i, `F${i + 1}`]])),
  ...Object.fromEntries(Array.from('abcdefghijklmnopqrstuvwxyz', (letter) => [letter, [letter.charCodeAt(0), `Key${letter.toUpperCase()}`]])),
});

/** The keys that change what others do, in the order in which one presses them. */
export const MODIFIERS = Object.freeze(['Ctrl', 'Alt', 'Shift', 'Super', 'AltGr']);

/** Presses `Ctrl-Alt-Del` and the like: the keys down in their order, and up in the opposite one. */
export function sendChord(viewer, chord) {
  const keys = chord.split('-').map((name) => KEYS[name]);
  for (const [keysym, code] of keys) viewer.sendKey(keysym, code, true);
  for (const [keysym, code] of keys.reverse()) viewer.sendKey(keysym, code, false);
}
