/**
 * The keys of a PC's keyboard, by their place (KeyboardEvent.code), in the scan codes that SPICE sends: set 1, where 0xe0 stands
 * before those that the first keyboards did not have. The layout is the machine's, as with a real keyboard.
 */

const row = (first, codes) => codes.map((code, index) => [code, first + index]);
const EXTENDED = 0xe0;
const UP = 0x80;

const PLAIN = new Map([
  ...row(0x01, ['Escape', ...Array.from('1234567890', (digit) => `Digit${digit}`), 'Minus', 'Equal', 'Backspace', 'Tab']),
  ...row(0x10, [...Array.from('QWERTYUIOP', (letter) => `Key${letter}`), 'BracketLeft', 'BracketRight', 'Enter', 'ControlLeft']),
  ...row(0x1e, [...Array.from('ASDFGHJKL', (letter) => `Key${letter}`), 'Semicolon', 'Quote', 'Backquote', 'ShiftLeft', 'Backslash']),
  ...row(0x2c, [...Array.from('ZXCVBNM', (letter) => `Key${letter}`), 'Comma', 'Period', 'Slash', 'ShiftRight', 'NumpadMultiply', 'AltLeft', 'Space', 'CapsLock']),
  ...row(0x3b, Array.from({ length: 10 }, (_, index) => `F${index + 1}`)),
  ...row(0x45, ['NumLock', 'ScrollLock', 'Numpad7', 'Numpad8', 'Numpad9', 'NumpadSubtract', 'Numpad4', 'Numpad5', 'Numpad6', 'NumpadAdd']),
  ...row(0x4f, ['Numpad1', 'Numpad2', 'Numpad3', 'Numpad0', 'NumpadDecimal']),
  ['IntlBackslash', 0x56], ['F11', 0x57], ['F12', 0x58],
  ['KanaMode', 0x70], ['IntlRo', 0x73], ['Convert', 0x79], ['NonConvert', 0x7b], ['IntlYen', 0x7d], ['NumpadComma', 0x7e],
]);

const AFTER_E0 = new Map([
  ['NumpadEnter', 0x1c], ['ControlRight', 0x1d], ['NumpadDivide', 0x35], ['PrintScreen', 0x37], ['AltRight', 0x38],
  ...row(0x47, ['Home', 'ArrowUp', 'PageUp']), ['ArrowLeft', 0x4b], ['ArrowRight', 0x4d],
  ...row(0x4f, ['End', 'ArrowDown', 'PageDown', 'Insert', 'Delete']), ...row(0x5b, ['MetaLeft', 'MetaRight', 'ContextMenu']),
]);

/** Pause is three bytes down and three up, and the only key of its kind. */
const PAUSE = [0x451de1, 0xc59de1];

/** The bytes of the key going down or up, the first one lowest, as SPICE's messages have them; null for a key that no PC has. */
export function scancodeOf(code, down) {
  if (code === 'Pause') return PAUSE[down ? 0 : 1];
  const plain = PLAIN.get(code);
  if (plain !== undefined) return down ? plain : plain | UP;
  const extended = AFTER_E0.get(code);
  if (extended === undefined) return null;
  return EXTENDED | ((down ? extended : extended | UP) << 8);
}
