/**
 * The keyboard of a serial line, as the page's panels use it (see screen-keyboard.js): everything is text, a modifier changes the
 * character, and special keys are the sequences of a VT100. A break cannot be sent: no host's console takes one apart from its bytes.
 */
const ESC = '\x1b';
const key = (says, text, label = says) => ({ says, label, press: (viewer) => viewer.sendText(text) });

/** What a line's other end reads at one time without losing any, also where nothing holds a sender back. */
const PIECE_CHARACTERS = 16;
const PIECE_MS = 10;
const SLOW_PIECE_MS = 150;
/** A line that was sent is worked on. */
const LINE_MS = 50;

export const serialKeyboard = {
  modifiers: ['Ctrl', 'Alt'],
  layouts: [],
  keyGroups: [
    {
      label: 'Control',
      keys: [key('Ctrl-C', '\x03'), key('Ctrl-D', '\x04'), key('Ctrl-Z', '\x1a'), key('Ctrl-L', '\x0c'), key('Ctrl-A', '\x01'), key('Ctrl-]', '\x1d'), key('Ctrl-\\', '\x1c')],
    },
    { label: 'Keys', keys: [key('Esc', ESC), key('Tab', '\t'), key('Enter', '\r'), key('Backspace', '\x7f'), key('Del', `${ESC}[3~`), key('Home', `${ESC}[H`), key('End', `${ESC}[F`), key('PgUp', `${ESC}[5~`), key('PgDn', `${ESC}[6~`)] },
    { label: 'Arrows', keys: [key('←', `${ESC}[D`, 'Left'), key('↑', `${ESC}[A`, 'Up'), key('↓', `${ESC}[B`, 'Down'), key('→', `${ESC}[C`, 'Right')] },
    {
      label: 'Function keys',
      keys: ['OP', 'OQ', 'OR', 'OS', '[15~', '[17~', '[18~', '[19~', '[20~', '[21~', '[23~', '[24~'].map((sequence, i) => key(`F${i + 1}`, ESC + sequence)),
    },
  ],

  // Nothing is held down in the machine: the next character is another.
  hold() {},
  release() {},

  plan(text, { slow }) {
    // A terminal's own keys are not text; whoever pastes them has caught something invisible.
    const untypable = [...new Set([...text].filter((each) => each !== '\n' && each !== '\t' && /\p{Cc}/u.test(each)))];
    const characters = [...text.replaceAll('\n', '\r')];
    const pieceMs = slow ? SLOW_PIECE_MS : PIECE_MS;
    const steps = characters.map((each, index) => async (viewer) => {
      viewer.sendText(each);
      const pauseMs = each === '\r' ? LINE_MS : (index + 1) % PIECE_CHARACTERS === 0 || slow ? pieceMs : 0;
      if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
    });
    return { untypable, steps: untypable.length > 0 ? [] : steps };
  },
};

/** What a typed character becomes while Ctrl or Alt are held on the page. Anything longer (an arrow, a terminal's answer) stays. */
export function withModifiers(text, modifiers) {
  if ([...text].length !== 1 || text < ' ') return text;
  const held = ['Ctrl', 'Alt'].filter((name) => modifiers.holds(name));
  modifiers.used();
  const character = held.includes('Ctrl') ? controlOf(text) : text;
  return held.includes('Alt') ? ESC + character : character;
}

function controlOf(character) {
  const upper = character.toUpperCase();
  if (upper >= '@' && upper <= '_') return String.fromCharCode(upper.charCodeAt(0) & 0x1f);
  return { ' ': '\0', '?': '\x7f' }[character] ?? character;
}
