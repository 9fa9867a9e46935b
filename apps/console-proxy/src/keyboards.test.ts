import assert from 'node:assert/strict';

/** What typing sends to a viewer, in words: `+41 KeyA` a key pressed, `-41 KeyA` let go, or text. */
class Sent {
  readonly events: string[] = [];
  sendKey(keysym: number, code: string, down: boolean): void {
    this.events.push(`${down ? '+' : '-'}${keysym.toString(16)} ${code}`);
  }
  sendText(text: string): void {
    this.events.push(text);
  }
}

interface Stroke {
  readonly modifier: string | null;
  readonly keysym: number;
  readonly code: string;
}

interface Modifiers {
  press(name: string): void;
  used(): void;
  releaseAll(): void;
  stateOf(name: string): string;
  watch(changed: () => void): void;
}

interface Plan {
  readonly untypable: readonly string[];
  readonly steps: readonly ((viewer: Sent) => Promise<void>)[];
}

interface Keyboard {
  plan(text: string, choices: { layout?: string; slow?: boolean }): Plan;
  readonly keyGroups: readonly Group[];
}

interface Key {
  readonly says: string;
  press(viewer: Sent): void;
}

interface Group {
  readonly keys?: readonly Key[];
  readonly choices?: readonly { readonly keys: readonly Key[] }[];
  readonly select?: readonly Key[];
}

const load = async <T>(name: string): Promise<T> => (await import(new URL(`../web/${name}`, import.meta.url).href)) as T;
const PRINTABLE = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).join('');

async function typedBy(plan: Plan): Promise<string[]> {
  const sent = new Sent();
  for (const step of plan.steps) await step(sent);
  return sent.events;
}

describe("the layouts of a machine's keyboard", () => {
  let strokesOf: (layout: string, character: string) => readonly Stroke[] | null;
  let LAYOUTS: Record<string, Record<'plain' | 'shift' | 'altGr', readonly string[] | undefined>>;
  before(async () => {
    ({ strokesOf, LAYOUTS } = await load<{ strokesOf: typeof strokesOf; LAYOUTS: typeof LAYOUTS }>('keyboard-layouts.js'));
  });

  it('have no keys for what they cannot type', () => {
    for (const character of ['ä', '“', '—', '\u00a0', '\u0007', '漢', '🙂']) assert.equal(strokesOf('us', character), null, character);
    assert.equal(strokesOf('de', 'ñ'), null);
  });

  it('have rows as long as the rows of keys are', () => {
    for (const [name, { plain, shift, altGr = [] }] of Object.entries(LAYOUTS)) {
      for (const rows of [plain ?? [], shift ?? [], altGr]) {
        for (const [row, characters] of rows.entries()) assert.ok([...characters].length <= [13, 12, 12, 11][row]!, `${name}: ${characters}`);
      }
    }
  });

  it('type all of ASCII', () => {
    for (const layout of Object.keys(LAYOUTS)) {
      const missing = [...PRINTABLE].filter((character) => strokesOf(layout, character) === null);
      assert.deepEqual(missing, [], layout);
    }
  });

  it('shift what a US keyboard shifts', () => {
    const shifted = [...PRINTABLE].filter((character) => strokesOf('us', character)![0]!.modifier === 'Shift').join('');
    assert.equal(shifted, '!"#$%&()*+:<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ^_{|}~');
    assert.ok([...PRINTABLE].every((character) => strokesOf('us', character)!.length === 1));
  });

  it('name the key where the character is, and the character itself', () => {
    const stroke = (layout: string, character: string): string => strokesOf(layout, character)!.map(({ modifier, keysym, code }) => `${modifier ?? '-'} ${keysym.toString(16)} ${code}`).join(', ');
    assert.equal(stroke('us', '@'), 'Shift 40 Digit2');
    assert.equal(stroke('us', '\\'), '- 5c Backslash');
    assert.equal(stroke('us', '\n'), '- ff0d Enter');
    assert.equal(stroke('gb', '@'), 'Shift 40 Quote');
    assert.equal(stroke('gb', '€'), 'AltGr 10020ac Digit4');
    assert.equal(stroke('de', 'z'), '- 7a KeyY');
    assert.equal(stroke('de', '@'), 'AltGr 40 KeyQ');
    assert.equal(stroke('de', '^'), '- 5e Backquote, - 20 Space');
    assert.equal(stroke('fr', 'a'), '- 61 KeyQ');
    assert.equal(stroke('fr', '1'), 'Shift 31 Digit1');
    assert.equal(stroke('es', 'ñ'), '- f1 Semicolon');
  });
});

describe('the keyboard of a machine with a screen', () => {
  let keyboard: Keyboard;
  before(async () => ({ screenKeyboard: keyboard } = await load<{ screenKeyboard: Keyboard }>('screen-keyboard.js')));

  it('types nothing of a text with a character that it does not have, and names each such character once', () => {
    const plan = keyboard.plan('naïve “naïve”', { layout: 'us' });
    assert.deepEqual(plan.untypable, ['ï', '“', '”']);
    assert.deepEqual(plan.steps, []);
  });

  it('presses and lets go, Shift around what is shifted', async () => {
    assert.deepEqual(await typedBy(keyboard.plan('aB\n', { layout: 'us' })), [
      '+61 KeyA', '-61 KeyA', '+ffe1 ShiftLeft', '+42 KeyB', '-42 KeyB', '-ffe1 ShiftLeft', '+ff0d Enter', '-ff0d Enter',
    ]);
  });

  it('leaves a pause after each event, a longer one when asked to', async () => {
    const fast = performance.now();
    await typedBy(keyboard.plan('A', { layout: 'us' }));
    assert.ok(performance.now() - fast >= 4 * 12 - 5);
    const slow = performance.now();
    await typedBy(keyboard.plan('A', { layout: 'us', slow: true }));
    assert.ok(performance.now() - slow >= 4 * 60 - 5);
  });

  it('has every combination that a browser keeps to itself, and lets go of each key that it presses', () => {
    const keys = keyboard.keyGroups.flatMap(({ keys: plain = [], choices = [], select = [] }) => [...plain, ...choices.flatMap((choice) => choice.keys), ...select]);
    const said = keys.map(({ says }) => says);
    for (const wanted of ['Ctrl-Alt-Del', 'Alt-Tab', 'Esc', 'Print', 'F1', 'F12', 'Alt-F1', 'Alt-F12', 'Ctrl-Alt-F1', 'Ctrl-Alt-F12', 'Alt-SysRq-b: reboot at once']) assert.ok(said.includes(wanted), wanted);
    for (const { says, press } of keys) {
      const sent = new Sent();
      press(sent);
      const down = sent.events.filter((event) => event.startsWith('+')).map((event) => event.slice(1));
      const up = sent.events.filter((event) => event.startsWith('-')).map((event) => event.slice(1));
      assert.deepEqual(up, down.reverse(), says);
    }
    const sent = new Sent();
    keys.find(({ says }) => says.startsWith('Alt-SysRq-b'))?.press(sent);
    assert.deepEqual(sent.events.slice(0, 3), ['+ffe9 AltLeft', '+ff15 PrintScreen', '+62 KeyB']);
  });
});

describe('the keyboard of a serial line', () => {
  let keyboard: Keyboard;
  let withModifiers: (text: string, modifiers: object) => string;
  before(async () => ({ serialKeyboard: keyboard, withModifiers } = await load<{ serialKeyboard: Keyboard; withModifiers: typeof withModifiers }>('serial-keyboard.js')));

  it('types no character that a terminal would act upon', () => {
    assert.deepEqual(keyboard.plan('rm x\x1b[A\x03', {}).untypable, ['\x1b', '\x03']);
  });

  it('sends text as it is, with a carriage return for a line break', async () => {
    assert.equal((await typedBy(keyboard.plan('echo "ä€🙂"\n\tls\n', {}))).join(''), 'echo "ä€🙂"\r\tls\r');
  });

  it('holds back now and then, and longer after a line', async () => {
    const begun = performance.now();
    await typedBy(keyboard.plan(`${'x'.repeat(160)}\n`, {}));
    assert.ok(performance.now() - begun >= 10 * 10 + 50 - 15);
  });

  it('makes control characters of letters while Ctrl is held, and puts Esc before them for Alt', async () => {
    const held = (...names: string[]): object => ({ holds: (name: string) => names.includes(name), used() {} });
    assert.equal(withModifiers('c', held('Ctrl')), '\x03');
    assert.equal(withModifiers(']', held('Ctrl')), '\x1d');
    assert.equal(withModifiers(' ', held('Ctrl')), '\0');
    assert.equal(withModifiers('1', held('Ctrl')), '1');
    assert.equal(withModifiers('b', held('Alt')), '\x1bb');
    assert.equal(withModifiers('c', held('Ctrl', 'Alt')), '\x1b\x03');
    assert.equal(withModifiers('\x1b[A', held('Ctrl')), '\x1b[A');
    assert.equal(withModifiers('ä', held()), 'ä');
  });
});

describe('modifiers that are pressed on the page', () => {
  let said: string[];
  let modifiers: Modifiers;
  beforeEach(async () => {
    said = [];
    const { StickyModifiers } = await load<{ StickyModifiers: new (way: object) => Modifiers }>('sticky-modifiers.js');
    modifiers = new StickyModifiers({ hold: (name: string) => said.push(`+${name}`), release: (name: string) => said.push(`-${name}`) });
  });

  it('hold for one key', () => {
    modifiers.press('Ctrl');
    modifiers.press('Alt');
    modifiers.used();
    modifiers.used();
    assert.deepEqual(said, ['+Ctrl', '+Alt', '-Ctrl', '-Alt']);
  });

  it('are locked by a second press, and let go by a third', () => {
    modifiers.press('Ctrl');
    modifiers.press('Ctrl');
    modifiers.used();
    assert.deepEqual([modifiers.stateOf('Ctrl'), ...said], ['locked', '+Ctrl']);
    modifiers.press('Ctrl');
    assert.deepEqual([modifiers.stateOf('Ctrl'), ...said], ['up', '+Ctrl', '-Ctrl']);
  });

  it('are all let go together, and their watchers told', () => {
    let changes = 0;
    modifiers.watch(() => (changes += 1));
    for (const name of ['Super', 'Shift', 'Shift']) modifiers.press(name);
    modifiers.releaseAll();
    modifiers.releaseAll();
    assert.deepEqual(said, ['+Super', '+Shift', '-Super', '-Shift']);
    assert.equal(changes, 4);
  });
});
