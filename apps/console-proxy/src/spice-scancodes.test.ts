import assert from 'node:assert/strict';

type ScancodeOf = (code: string, down: boolean) => number | null;

describe('the keys of a SPICE screen', () => {
  let scancodeOf: ScancodeOf;
  let keys: Readonly<Record<string, readonly [number, string]>>;
  before(async () => {
    ({ scancodeOf } = (await import(new URL('../web/spice-scancodes.js', import.meta.url).href)) as { scancodeOf: ScancodeOf });
    ({ KEYS: keys } = (await import(new URL('../web/keys.js', import.meta.url).href)) as { KEYS: typeof keys });
  });

  it('are not those that no PC has', () => {
    for (const code of ['', 'Unidentified', 'BrowserBack', 'constructor']) assert.equal(scancodeOf(code, true), null);
  });

  it('are all that the page can send by name', () => {
    for (const [name, [, code]] of Object.entries(keys)) assert.notEqual(scancodeOf(code, true), null, name);
  });

  it('have the codes that the first PCs gave them, and 0xe0 before those that came later', () => {
    const codes = {
      Escape: [0x01, 0x81], Digit1: [0x02, 0x82], Digit0: [0x0b, 0x8b], Tab: [0x0f, 0x8f], KeyQ: [0x10, 0x90], Enter: [0x1c, 0x9c], ControlLeft: [0x1d, 0x9d],
      KeyA: [0x1e, 0x9e], ShiftLeft: [0x2a, 0xaa], Backslash: [0x2b, 0xab], KeyZ: [0x2c, 0xac], ShiftRight: [0x36, 0xb6], NumpadMultiply: [0x37, 0xb7],
      AltLeft: [0x38, 0xb8], Space: [0x39, 0xb9], CapsLock: [0x3a, 0xba], F1: [0x3b, 0xbb], F10: [0x44, 0xc4], NumLock: [0x45, 0xc5], Numpad7: [0x47, 0xc7],
      NumpadDecimal: [0x53, 0xd3], IntlBackslash: [0x56, 0xd6], F11: [0x57, 0xd7], F12: [0x58, 0xd8],
      AltRight: [0x38e0, 0xb8e0], ControlRight: [0x1de0, 0x9de0], PrintScreen: [0x37e0, 0xb7e0], Home: [0x47e0, 0xc7e0], PageUp: [0x49e0, 0xc9e0], ArrowLeft: [0x4be0, 0xcbe0],
      End: [0x4fe0, 0xcfe0], Delete: [0x53e0, 0xd3e0], MetaLeft: [0x5be0, 0xdbe0], ContextMenu: [0x5de0, 0xdde0], Pause: [0x451de1, 0xc59de1],
    };
    for (const [code, [down, up]] of Object.entries(codes)) assert.deepEqual([scancodeOf(code, true), scancodeOf(code, false)], [down, up], code);
  });
});
