/**
 * The desktop as a list of things to draw, back to front. Each says where it lies, how to paint itself and a key that
 * changes exactly when its pixels do: comparing two lists yields what must be sent again (screen.ts).
 */
import type { Canvas } from './canvas.ts';
import { PAD_COLUMNS, PAD_ROWS } from './desktop.ts';
import type { Button, Desktop } from './desktop.ts';
import { CELL_HEIGHT, CELL_WIDTH } from './font.ts';
import { counted, elapsedWords, shortened, timeOfDay } from './guest-words.ts';
import type { ColourName } from './palette.ts';
import type { Rectangle } from './rectangles.ts';

export const SCREEN_WIDTH = 800;
export const SCREEN_HEIGHT = 600;
export const SCREEN: Rectangle = { x: 0, y: 0, width: SCREEN_WIDTH, height: SCREEN_HEIGHT };

export interface Item {
  readonly id: string;
  readonly area: Rectangle;
  readonly key: string;
  readonly paint: (canvas: Canvas) => void;
}

/** What the picture shows beside the desktop's own state. */
export interface PictureFacts {
  readonly name: string;
  readonly uuid: string;
  readonly upMs: number;
  readonly viewers: number;
}

const MARGIN = 24;
const BAR_HEIGHT = 68;
const RULE_HEIGHT = 3;
const PAPER: Rectangle = { x: MARGIN, y: 92, width: SCREEN_WIDTH - 2 * MARGIN, height: 350 };
const PAPER_HEAD_HEIGHT = 30;
const TEXT_X = PAPER.x + 16;
const TEXT_Y = PAPER.y + PAPER_HEAD_HEIGHT + 14;
const LINE_PITCH = 18;
const TILE_Y = 462;
const TILE_HEIGHT = 92;
const TILE_WIDTH = 240;
const TILE_GAP = 16;
const FOOTER_Y = 570;
const NAME_X = 84;
const NAME_CHARACTERS_MAX = 34;
const MARK_RADIUS = 9;
const KEY_CAP_CHARACTERS_MAX = 8;

const BUTTON_COLOURS: Readonly<Record<Button, ColourName>> = { left: 'leftButton', middle: 'middleButton', right: 'rightButton' };

export function picture(desktop: Desktop, facts: PictureFacts): Item[] {
  return [
    ...bar(facts),
    ...paper(desktop),
    keyboardTile(desktop),
    pointerTile(desktop),
    attentionTile(desktop),
    ...footer(desktop, facts),
    ...mark(desktop),
  ];
}

function bar(facts: PictureFacts): Item[] {
  const up = `up ${elapsedWords(facts.upMs)}`;
  const upArea = { x: 616, y: 38, width: 160, height: CELL_HEIGHT };
  return [
    item('bar', { x: 0, y: 0, width: SCREEN_WIDTH, height: BAR_HEIGHT + RULE_HEIGHT }, facts.name, (canvas) => {
      canvas.fill({ x: 0, y: 0, width: SCREEN_WIDTH, height: BAR_HEIGHT }, 'bar');
      canvas.fill({ x: 0, y: BAR_HEIGHT, width: SCREEN_WIDTH, height: RULE_HEIGHT }, 'barRule');
      emblem(canvas, MARGIN, 14);
      canvas.largeText(NAME_X, 5, shortened(facts.name, NAME_CHARACTERS_MAX), 'barText');
      canvas.text(NAME_X, 43, facts.uuid, 'barDim');
      canvas.disc(707, 24, 4, 'running');
      canvas.text(720, 15, 'running', 'barText');
    }),
    item('up', upArea, up, (canvas) => rightText(canvas, upArea, up, 'barDim')),
  ];
}

/** Two towers with battlements and the gate between them, 44 by 40. */
function emblem(canvas: Canvas, x: number, y: number): void {
  for (const tower of [x, x + 28]) {
    canvas.fill({ x: tower, y: y + 6, width: 16, height: 34 }, 'mark');
    for (const merlon of [0, 6, 12]) canvas.fill({ x: tower + merlon, y, width: 4, height: 6 }, 'mark');
    canvas.fill({ x: tower + 7, y: y + 13, width: 2, height: 9 }, 'bar');
  }
  canvas.fill({ x: x + 16, y: y + 14, width: 12, height: 26 }, 'mark');
  for (const merlon of [18, 24]) canvas.fill({ x: x + merlon, y: y + 10, width: 3, height: 4 }, 'mark');
  canvas.disc(x + 21, y + 28, 5, 'bar');
  canvas.fill({ x: x + 16, y: y + 28, width: 11, height: 12 }, 'bar');
  for (const stake of [18, 21, 24]) canvas.fill({ x: x + stake, y: y + 24, width: 1, height: 16 }, 'mark');
  for (const rail of [28, 33]) canvas.fill({ x: x + 16, y: y + rail, width: 11, height: 1 }, 'mark');
}

function paper(desktop: Desktop): Item[] {
  const view = desktop.pad.view();
  const rows = Array.from({ length: PAD_ROWS }, (_, row) => {
    const words = view.rows[row] ?? '';
    const caret = view.caretRow === row ? view.caretColumn : -1;
    return textRow(row, words, caret);
  });
  const frame = { x: PAPER.x, y: PAPER.y, width: PAPER.width + 4, height: PAPER.height + 4 };
  const head = { x: PAPER.x + 560, y: PAPER.y + 7, width: 176, height: CELL_HEIGHT };
  const hint = view.scrolled ? 'scrolled' : '';
  return [
    item('paper', frame, '', (canvas) => {
      canvas.fill({ x: PAPER.x + 4, y: PAPER.y + 4, width: PAPER.width, height: PAPER.height }, 'shadow');
      canvas.panel(PAPER, 'paper', 'paperEdge');
      canvas.fill({ x: PAPER.x + 1, y: PAPER.y + 1, width: PAPER.width - 2, height: PAPER_HEAD_HEIGHT - 1 }, 'paperHead');
      canvas.fill({ x: PAPER.x + 1, y: PAPER.y + PAPER_HEAD_HEIGHT, width: PAPER.width - 2, height: 1 }, 'paperEdge');
      canvas.text(TEXT_X, PAPER.y + 7, 'Notepad', 'ink');
      canvas.text(TEXT_X + 9 * CELL_WIDTH, PAPER.y + 7, 'what you type appears here; Ctrl-L clears', 'inkDim');
    }),
    item('scrolled', head, hint, (canvas) => rightText(canvas, head, hint, 'inkDim')),
    ...rows,
  ];
}

function textRow(row: number, words: string, caret: number): Item {
  const y = TEXT_Y + row * LINE_PITCH;
  const area = { x: TEXT_X - 1, y, width: PAD_COLUMNS * CELL_WIDTH + 2, height: LINE_PITCH };
  return item(`row ${row}`, area, `${caret}:${words}`, (canvas) => {
    // The caret lies behind the letters: it never hides a part of one.
    if (caret >= 0) canvas.fill({ x: TEXT_X - 1 + caret * CELL_WIDTH, y: y + 1, width: 2, height: CELL_HEIGHT }, 'caret');
    canvas.text(TEXT_X, y + 1, words, 'ink');
  });
}

function keyboardTile(desktop: Desktop): Item {
  const { lastKey: key, keyCount } = desktop;
  return tile(0, 'Keyboard', `${key}/${keyCount}`, (canvas, x, y) => {
    if (key === null) {
      keyCap(canvas, x, y, '');
      canvas.text(x + 92, y + 14, 'no key yet', 'tileText');
      return;
    }
    const presses = shortened(`${keyCount} pressed`, 15);
    if (key.length > KEY_CAP_CHARACTERS_MAX) {
      canvas.text(x, y + 4, shortened(key, 26), 'tileText');
      canvas.text(x, y + 24, presses, 'tileDim');
      return;
    }
    keyCap(canvas, x, y, key);
    canvas.text(x + 92, y + 14, presses, 'tileText');
  });
}

/** A key as seen from above: an edge, a cap, its letter large when it is a single one. */
function keyCap(canvas: Canvas, x: number, y: number, label: string): void {
  canvas.panel({ x, y, width: 76, height: 46 }, 'keyEdge', 'keyEdge');
  canvas.panel({ x: x + 3, y: y + 2, width: 70, height: 39 }, 'keyCap', 'keyCap');
  const shown = [...label];
  if (shown.length === 1) canvas.largeText(x + 30, y + 5, shown[0]!, 'ink');
  else canvas.text(x + 38 - shown.length * (CELL_WIDTH / 2), y + 13, shown.join(''), 'ink');
}

function pointerTile(desktop: Desktop): Item {
  const click = desktop.lastClick;
  const where = click === null ? '' : `${click.button} ${click.x},${click.y} ${desktop.clickCount}`;
  return tile(1, 'Pointer', where, (canvas, x, y) => {
    mouse(canvas, x, y, click?.button ?? null);
    if (click === null) {
      canvas.text(x + 52, y + 14, 'no click yet', 'tileText');
      return;
    }
    canvas.text(x + 52, y + 4, `${click.button} button`, 'tileText');
    canvas.text(x + 52, y + 24, `at ${click.x}, ${click.y}`, 'tileDim');
  });
}

function mouse(canvas: Canvas, x: number, y: number, pressed: Button | null): void {
  const body: ColourName = 'keyCap';
  canvas.disc(x + 17, y + 17, 17, body);
  canvas.disc(x + 17, y + 29, 17, body);
  canvas.fill({ x, y: y + 17, width: 35, height: 12 }, body);
  canvas.fill({ x, y: y + 19, width: 35, height: 1 }, 'keyEdge');
  canvas.fill({ x: x + 17, y, width: 1, height: 19 }, 'keyEdge');
  if (pressed === 'left') canvas.disc(x + 9, y + 11, 5, BUTTON_COLOURS.left);
  if (pressed === 'right') canvas.disc(x + 25, y + 11, 5, BUTTON_COLOURS.right);
  canvas.panel({ x: x + 15, y: y + 6, width: 5, height: 10 }, pressed === 'middle' ? BUTTON_COLOURS.middle : 'keyEdge', 'keyEdge');
}

function attentionTile(desktop: Desktop): Item {
  const { attentionCount: count, attentionAt: at } = desktop;
  return tile(2, 'Ctrl-Alt-Del', `${count}`, (canvas, x, y) => {
    if (at === null) {
      canvas.text(x, y + 14, 'not received yet', 'tileText');
      return;
    }
    canvas.text(x, y + 4, count === 1 ? 'received once' : `received ${count} times`, 'alert');
    canvas.text(x, y + 24, `last at ${timeOfDay(at)}`, 'tileText');
  });
}

function tile(index: number, title: string, key: string, paint: (canvas: Canvas, x: number, y: number) => void): Item {
  const area = { x: MARGIN + index * (TILE_WIDTH + TILE_GAP), y: TILE_Y, width: TILE_WIDTH, height: TILE_HEIGHT };
  return item(title, area, key, (canvas) => {
    canvas.panel(area, 'tile', 'tileEdge');
    canvas.text(area.x + 14, area.y + 8, title, 'tileDim');
    paint(canvas, area.x + 14, area.y + 34);
  });
}

function footer(desktop: Desktop, facts: PictureFacts): Item[] {
  const offered = desktop.clipboardCharacters;
  const words = offered === null ? 'Gatehouse simulated guest' : `clipboard offered: ${counted(offered, 'character')}`;
  const viewers = counted(facts.viewers, 'viewer');
  const left = { x: MARGIN, y: FOOTER_Y, width: 480, height: CELL_HEIGHT };
  const right = { x: 536, y: FOOTER_Y, width: 240, height: CELL_HEIGHT };
  return [
    item('footer', left, words, (canvas) => canvas.text(left.x, left.y, words, 'tileDim')),
    item('viewers', right, viewers, (canvas) => rightText(canvas, right, viewers, 'tileDim')),
  ];
}

/** A ring with a point where one clicked. */
function mark(desktop: Desktop): Item[] {
  const click = desktop.lastClick;
  if (click === null) return [];
  const { x, y, button } = click;
  const size = 2 * MARK_RADIUS + 1;
  const area = { x: x - MARK_RADIUS, y: y - MARK_RADIUS, width: size, height: size };
  return [
    item('mark', area, button, (canvas) => {
      canvas.disc(x, y, MARK_RADIUS, 'barText', MARK_RADIUS - 4);
      canvas.disc(x, y, MARK_RADIUS - 1, BUTTON_COLOURS[button], MARK_RADIUS - 3);
      canvas.disc(x, y, 2, BUTTON_COLOURS[button]);
    }),
  ];
}

function item(id: string, area: Rectangle, key: string, paint: (canvas: Canvas) => void): Item {
  return { id, area, key, paint };
}

function rightText(canvas: Canvas, area: Rectangle, words: string, colour: ColourName): void {
  canvas.text(area.x + area.width - words.length * CELL_WIDTH, area.y, words, colour);
}
