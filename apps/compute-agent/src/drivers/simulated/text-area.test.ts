import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TextArea } from './text-area.ts';
import type { Direction } from './text-area.ts';

function typed(area: TextArea, text: string): TextArea {
  for (const character of text) {
    if (character === '\n') area.newline();
    else area.insert(character);
  }
  return area;
}

describe('the pad', () => {
  it('stays whole under any keys: the caret is on it and nothing grows without end', () => {
    const keys = fc.oneof(
      fc.array(fc.integer({ min: 0, max: 0x10ffff }), { maxLength: 40 }).map((codes) => (area: TextArea) => {
        area.insert(String.fromCodePoint(...codes.map((code, at) => (at % 4 === 0 ? code : 32 + (code % 95)))));
      }),
      fc.constant((area: TextArea) => area.newline()),
      fc.constant((area: TextArea) => area.backspace()),
      fc.constant((area: TextArea) => area.deleteForward()),
      fc.constantFrom<Direction>('left', 'right', 'up', 'down', 'home', 'end').map((to) => (area: TextArea) => area.move(to)),
    );
    fc.assert(
      fc.property(fc.array(keys, { maxLength: 60 }), (presses) => {
        const area = new TextArea(12, 4);
        for (const press of presses) {
          press(area);
          const view = area.view();
          assert.ok(view.rows.length >= 1 && view.rows.length <= 4);
          assert.ok(view.caretRow >= 0 && view.caretRow < view.rows.length);
          assert.ok(view.caretColumn >= 0 && view.caretColumn < 12 && view.caretColumn <= view.rows[view.caretRow]!.length);
        }
      }),
    );
  });

  it('drops its oldest text when it is full, also from a caret in its first line', () => {
    const area = typed(new TextArea(80, 10), `${'x'.repeat(1_500)}\n`.repeat(60));
    assert.equal(area.view().rows.at(-1), '');
    for (let line = 0; line < 500; line += 1) {
      area.move('up');
      area.newline();
    }
    for (let step = 0; step < 2_000; step += 1) area.move('up');
    assert.equal(area.view().scrolled, false);
    typed(area, 'first');
    assert.equal(area.view().rows[0]!.startsWith('first'), true);
  });

  it('wraps a long line, and a caret past a full row has a row of its own', () => {
    const view = typed(new TextArea(5, 4), 'abcdefghij').view();
    assert.deepEqual(view.rows, ['abcde', 'fghij', '']);
    assert.deepEqual([view.caretRow, view.caretColumn], [2, 0]);
  });

  it('joins lines by Backspace and by Delete', () => {
    const area = typed(new TextArea(20, 4), 'one\ntwo');
    area.move('home');
    area.backspace();
    assert.deepEqual(area.view().rows, ['onetwo']);
    area.newline();
    area.move('up');
    area.move('end');
    area.deleteForward();
    assert.deepEqual(area.view().rows, ['onetwo']);
  });

  it('moves by the rows one sees', () => {
    const area = typed(new TextArea(5, 4), 'abcdefgh\nx');
    area.move('up');
    area.insert('!');
    assert.deepEqual(area.view().rows, ['abcde', 'f!gh', 'x']);
    area.move('up');
    area.insert('?');
    assert.deepEqual(area.view().rows.slice(0, 2), ['ab?cd', 'ef!gh']);
  });

  it('shows a box for what it cannot draw, and steps by tabs of four', () => {
    const area = typed(new TextArea(20, 4), 'é\u4e2d😀');
    area.insert('\t');
    area.insert('x');
    assert.deepEqual(area.view().rows, ['\uFFFD\uFFFD\uFFFD x']);
  });
});
