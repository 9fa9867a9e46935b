/**
 * What the guest's screen is about: the pad and its text, the last key, the last click, whether Ctrl-Alt-Del came.
 * Input goes in here, desktop-picture.ts draws what came of it. State is the guest's: it outlives every viewer.
 */
import { KEYSYM, characterOf, keyName, modifierOf } from './keysyms.ts';
import type { Modifier } from './keysyms.ts';
import { TextArea } from './text-area.ts';
import type { Direction } from './text-area.ts';

export const PAD_COLUMNS = 90;
export const PAD_ROWS = 16;

export type Button = 'left' | 'middle' | 'right';

export interface Click {
  readonly button: Button;
  readonly x: number;
  readonly y: number;
}

/** What one viewer holds down; a viewer that leaves takes it along, so that no key sticks for the others. */
export interface HeldInput {
  readonly modifiers: Set<Modifier>;
  buttons: number;
}

const BUTTON_BITS: readonly (readonly [number, Button])[] = [
  [1, 'left'],
  [2, 'middle'],
  [4, 'right'],
];

const MOVES: ReadonlyMap<number, Direction> = new Map([
  [KEYSYM.left, 'left'],
  [KEYSYM.right, 'right'],
  [KEYSYM.up, 'up'],
  [KEYSYM.down, 'down'],
  [KEYSYM.home, 'home'],
  [KEYSYM.end, 'end'],
]);

export class Desktop {
  readonly pad = new TextArea(PAD_COLUMNS, PAD_ROWS);
  lastKey: string | null = null;
  keyCount = 0;
  lastClick: Click | null = null;
  clickCount = 0;
  attentionCount = 0;
  attentionAt: Date | null = null;
  /** Characters of the last clipboard that a viewer offered. */
  clipboardCharacters: number | null = null;

  /** @returns whether anything visible changed. */
  key(held: HeldInput, down: boolean, keysym: number, now: Date): boolean {
    const modifier = modifierOf(keysym);
    if (modifier !== null) {
      if (down) held.modifiers.add(modifier);
      else held.modifiers.delete(modifier);
    }
    if (!down) return false;
    this.keyCount += 1;
    this.lastKey = chord(held.modifiers, modifier, keysym);
    if (isAttention(held.modifiers, keysym)) {
      this.attentionCount += 1;
      this.attentionAt = now;
    } else if (!held.modifiers.has('Ctrl') && !held.modifiers.has('Alt') && !held.modifiers.has('Super')) {
      this.#edit(keysym);
    } else if (held.modifiers.has('Ctrl') && (keysym === 0x6c || keysym === 0x4c)) {
      this.pad.clear();
    }
    return true;
  }

  /** @returns whether anything visible changed: moving alone shows nothing. */
  pointer(held: HeldInput, buttons: number, x: number, y: number): boolean {
    const pressed = buttons & ~held.buttons;
    held.buttons = buttons;
    const hit = BUTTON_BITS.find(([bit]) => (pressed & bit) !== 0);
    if (hit === undefined) return false;
    this.lastClick = { button: hit[1], x, y };
    this.clickCount += 1;
    return true;
  }

  #edit(keysym: number): void {
    const move = MOVES.get(keysym);
    const character = characterOf(keysym);
    if (move !== undefined) this.pad.move(move);
    else if (keysym === KEYSYM.enter || keysym === KEYSYM.keypadEnter) this.pad.newline();
    else if (keysym === KEYSYM.backSpace) this.pad.backspace();
    else if (keysym === KEYSYM.delete || keysym === KEYSYM.keypadDelete) this.pad.deleteForward();
    else if (keysym === KEYSYM.tab) this.pad.insert('\t');
    else if (character !== null) this.pad.insert(character);
  }
}

function isAttention(modifiers: ReadonlySet<Modifier>, keysym: number): boolean {
  const isDelete = keysym === KEYSYM.delete || keysym === KEYSYM.keypadDelete;
  return isDelete && modifiers.has('Ctrl') && modifiers.has('Alt');
}

/** `Ctrl-Alt-Del`, `A`, `Shift`: Shift is not named beside a character, which already shows it. */
function chord(modifiers: ReadonlySet<Modifier>, modifier: Modifier | null, keysym: number): string {
  if (modifier !== null) return modifier;
  const named = (['Ctrl', 'Alt', 'Super'] as const).filter((one) => modifiers.has(one));
  return [...named, keyName(keysym)].join('-');
}
