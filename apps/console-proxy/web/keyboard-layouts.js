/**
 * Which keys type a character. A machine is told keys, not characters: what a key means is decided by the layout that its
 * system is set to. So the text is typed as on a keyboard of that layout; until somebody has set another one that is the US one,
 * also in boot loaders, rescue shells and installers.
 */
import { KEYS } from './keys.js';

/** The keys that type characters, row by row, as KeyboardEvent.code names them. */
const PLACES = [
  'Backquote Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal',
  'KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight',
  'KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backslash',
  'IntlBackslash KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash',
].map((row) => row.split(' '));

/**
 * By layout: the characters on those keys alone, with Shift, with AltGr; a space where there is none. `dead` keys type nothing until
 * the next key: with Space they give the character itself.
 */
export const LAYOUTS = Object.freeze({
  us: {
    name: 'US',
    plain: ['`1234567890-=', 'qwertyuiop[]', "asdfghjkl;'\\", ' zxcvbnm,./'],
    shift: ['~!@#$%^&*()_+', 'QWERTYUIOP{}', 'ASDFGHJKL:"|', ' ZXCVBNM<>?'],
  },
  gb: {
    name: 'UK',
    plain: ['`1234567890-=', 'qwertyuiop[]', "asdfghjkl;'#", '\\zxcvbnm,./'],
    shift: ['¬!"£$%^&*()_+', 'QWERTYUIOP{}', 'ASDFGHJKL:@~', '|ZXCVBNM<>?'],
    altGr: ['    €        '],
  },
  de: {
    name: 'German',
    plain: [' 1234567890ß ', 'qwertzuiopü+', 'asdfghjklöä#', '<yxcvbnm,.-'],
    shift: ['°!"§$%&/()=? ', 'QWERTZUIOPÜ*', "ASDFGHJKLÖÄ'", '>YXCVBNM;:_'],
    altGr: ['  ²³   {[]}\\ ', '@ €        ~', '            ', '|      µ   '],
    dead: { '^': ['Backquote'], '´': ['Equal'], '`': ['Equal', 'Shift'] },
  },
  fr: {
    name: 'French',
    plain: ['²&é"\'(-è_çà)=', 'azertyuiop $', 'qsdfghjklmù*', '<wxcvbn,;:!'],
    shift: [' 1234567890°+', 'AZERTYUIOP £', 'QSDFGHJKLM%µ', '>WXCVBN?./§'],
    altGr: ['  ~#{[|`\\^@]}', '  €         '],
    dead: { '¨': ['BracketLeft', 'Shift'] },
  },
  es: {
    name: 'Spanish',
    plain: ["º1234567890'¡", 'qwertyuiop +', 'asdfghjklñ ç', '<zxcvbnm,.-'],
    shift: ['ª!"·$%&/()=?¿', 'QWERTYUIOP *', 'ASDFGHJKLÑ Ç', '>ZXCVBNM;:_'],
    altGr: ['\\|@#~ ¬      ', '  €       []', '          {}'],
    dead: { '`': ['BracketLeft'], '^': ['BracketLeft', 'Shift'], '´': ['Quote'], '¨': ['Quote', 'Shift'] },
  },
});

const CONTROLS = { '\n': 'Enter', '\t': 'Tab', ' ': 'Space' };
const KNOWN = new Map(Object.keys(LAYOUTS).map((layout) => [layout, strokesByCharacter(LAYOUTS[layout])]));

/**
 * The strokes that type a character, each { modifier: a name in KEYS or null, keysym, code }; null when this layout has no
 * keys for it.
 */
export function strokesOf(layout, character) {
  if (Object.hasOwn(CONTROLS, character)) return [namedStroke(CONTROLS[character])];
  return KNOWN.get(layout).get(character) ?? null;
}

/** A character's keysym: its Latin-1 code, or its Unicode code with a mark. */
export function keysymOf(character) {
  const code = character.codePointAt(0);
  return code <= 0xff ? code : 0x0100_0000 + code;
}

function strokesByCharacter({ plain, shift, altGr = [], dead = {} }) {
  const strokes = new Map();
  for (const [rows, modifier] of [[altGr, 'AltGr'], [shift, 'Shift'], [plain, null]]) {
    for (const [row, characters] of rows.entries()) {
      for (const [column, character] of [...characters].entries()) {
        // What several keys type is typed by the simplest.
        if (character !== ' ') strokes.set(character, [{ modifier, keysym: keysymOf(character), code: PLACES[row][column] }]);
      }
    }
  }
  for (const [character, [code, modifier = null]] of Object.entries(dead)) {
    if (!strokes.has(character)) strokes.set(character, [{ modifier, keysym: keysymOf(character), code }, namedStroke('Space')]);
  }
  return strokes;
}

function namedStroke(name) {
  const [keysym, code] = KEYS[name];
  return { modifier: null, keysym, code };
}
