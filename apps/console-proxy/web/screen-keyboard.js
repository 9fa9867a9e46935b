/**
 * The keyboard of a machine with a screen, as the page's panels use it: keys go down and up, and a text is what its
 * strokes give.
 *
 * A keyboard is { modifiers, keyGroups, layouts, hold(viewer, name), release(viewer, name), plan(text, choices) }; serial-keyboard.js
 * is the other one. A plan is { untypable: the characters that cannot be typed, steps: functions of a viewer, one a
 * character, each answering the pause after it in milliseconds }.
 */
import { KEYS, MODIFIERS, sendChord } from './keys.js';
import { LAYOUTS, strokesOf } from './keyboard-layouts.js';

/** Between two events of a key: QEMU passes one on every 10 ms, and a boot loader reads them slower. */
const EVENT_MS = 12;
const SLOW_EVENT_MS = 60;

const chord = (name, says = name) => ({ says, press: (viewer) => sendChord(viewer, name) });
const single = (name) => chord(name);

const SYSRQ = [
  ['h', 'help'], ['r', 'take the keyboard back'], ['e', 'end all processes'], ['i', 'kill all processes'], ['s', 'sync disks'], ['u', 'remount read-only'],
  ['b', 'reboot at once'], ['o', 'power off'], ['f', 'kill what eats the memory'], ['k', 'kill all on this console'], ['w', 'show blocked tasks'],
  ['t', 'show all tasks'], ['m', 'show memory'], ['l', 'show processors'], ['c', 'crash'],
];

export const screenKeyboard = {
  modifiers: MODIFIERS,
  layouts: Object.entries(LAYOUTS).map(([id, { name }]) => ({ id, name })),
  keyGroups: [
    { label: 'Combinations', keys: ['Ctrl-Alt-Del', 'Ctrl-Alt-Backspace', 'Alt-Tab', 'Alt-F4', 'Ctrl-Esc'].map(single) },
    { label: 'Keys', keys: ['Esc', 'Tab', 'Enter', 'Backspace', 'Insert', 'Del', 'Home', 'End', 'PgUp', 'PgDn', 'Print', 'Pause', 'Menu', 'CapsLock'].map(single) },
    { label: 'Arrows', keys: [['Left', '←'], ['Up', '↑'], ['Down', '↓'], ['Right', '→']].map(([name, sign]) => ({ ...single(name), says: sign, label: name })) },
    {
      label: 'Function keys',
      choices: ['', 'Alt-', 'Ctrl-Alt-'].map((prefix) => ({
        says: `${prefix}F1 to F12`,
        keys: Array.from({ length: 12 }, (_, i) => chord(`${prefix}F${i + 1}`)),
      })),
    },
    { label: 'SysRq', select: SYSRQ.map(([letter, meaning]) => ({ ...chord(`Alt-SysRq-${letter}`), says: `Alt-SysRq-${letter}: ${meaning}` })), send: 'Send' },
  ],

  hold: (viewer, name) => viewer.sendKey(...KEYS[name], true),
  release: (viewer, name) => viewer.sendKey(...KEYS[name], false),

  plan(text, { layout, slow }) {
    const characters = [...text];
    const untypable = [...new Set(characters.filter((each) => strokesOf(layout, each) === null))];
    const eventMs = slow ? SLOW_EVENT_MS : EVENT_MS;
    return { untypable, steps: untypable.length > 0 ? [] : characters.map((each) => (viewer) => type(viewer, strokesOf(layout, each), eventMs)) };
  },
};

/** Resolves when the strokes are made, each event with a pause after it. */
async function type(viewer, strokes, eventMs) {
  for (const { modifier, keysym, code } of strokes) {
    const events = [[keysym, code, true], [keysym, code, false]];
    if (modifier !== null) {
      events.unshift([...KEYS[modifier], true]);
      events.push([...KEYS[modifier], false]);
    }
    for (const event of events) {
      viewer.sendKey(...event);
      await new Promise((resolve) => setTimeout(resolve, eventMs));
    }
  }
}
