/**
 * One guest's screen, shared by all its viewers. It keeps no pixels: it compares what the desktop looks like now with what
 * it looked like at the last frame and tells every viewer which areas are out of date. Frames are made only after
 * something changed, at most one every FRAME_MS, and without viewers there is neither a timer nor a picture.
 */
import type { CancelTimer, Clock } from '@gatehouse/runtime/clock';
import { Canvas } from './canvas.ts';
import { SCREEN, picture } from './desktop-picture.ts';
import type { Item } from './desktop-picture.ts';
import { Desktop } from './desktop.ts';
import type { HeldInput } from './desktop.ts';
import { intersect, isEmpty } from './rectangles.ts';
import type { Rectangle } from './rectangles.ts';

/** Long enough to join a burst of keys, too short to be seen. */
export const FRAME_MS = 16;
const MINUTE_MS = 60_000;

export interface Viewer {
  /** These areas look different now. */
  damaged(areas: readonly Rectangle[]): void;
}

export interface ScreenIdentity {
  readonly name: string;
  readonly uuid: string;
  readonly bootedAt: () => Date;
}

export class Screen {
  readonly clock: Clock;
  readonly identity: ScreenIdentity;
  readonly #desktop = new Desktop();
  readonly #viewers = new Set<Viewer>();
  #items: readonly Item[] = [];
  #frame: CancelTimer | null = null;
  #minute: CancelTimer | null = null;

  constructor(identity: ScreenIdentity, clock: Clock) {
    this.identity = identity;
    this.clock = clock;
  }

  get viewerCount(): number {
    return this.#viewers.size;
  }

  join(viewer: Viewer): void {
    this.#viewers.add(viewer);
    if (this.#viewers.size === 1) {
      this.#items = this.#describe();
      this.#startMinutes();
    } else {
      this.#changed();
    }
  }

  leave(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer)) return;
    if (this.#viewers.size > 0) return this.#changed();
    this.#frame?.();
    this.#minute?.();
    this.#frame = null;
    this.#minute = null;
    this.#items = [];
  }

  key(held: HeldInput, down: boolean, keysym: number): void {
    if (this.#desktop.key(held, down, keysym, this.clock.now())) this.#changed();
  }

  pointer(held: HeldInput, buttons: number, x: number, y: number): void {
    const inside = { x: Math.min(x, SCREEN.width - 1), y: Math.min(y, SCREEN.height - 1) };
    if (this.#desktop.pointer(held, buttons, inside.x, inside.y)) this.#changed();
  }

  clipboard(characters: number): void {
    this.#desktop.clipboardCharacters = characters;
    this.#changed();
  }

  /** The pixels of `area` as of the last frame. */
  paint(area: Rectangle): Canvas {
    const canvas = new Canvas(area);
    canvas.fill(area, 'backdrop');
    for (const item of this.#items) {
      if (!isEmpty(intersect(item.area, area))) item.paint(canvas);
    }
    return canvas;
  }

  #describe(): Item[] {
    const { name, uuid, bootedAt } = this.identity;
    const upMs = this.clock.now().getTime() - bootedAt().getTime();
    return picture(this.#desktop, { name, uuid, upMs, viewers: this.#viewers.size });
  }

  #changed(): void {
    if (this.#viewers.size === 0 || this.#frame !== null) return;
    this.#frame = this.clock.after(FRAME_MS, () => {
      this.#frame = null;
      this.#makeFrame();
    });
  }

  #makeFrame(): void {
    const before = this.#items;
    this.#items = this.#describe();
    const areas = differences(before, this.#items);
    if (areas.length === 0) return;
    for (const viewer of this.#viewers) viewer.damaged(areas);
  }

  /** The uptime shown has minutes only, so once a minute is often enough. */
  #startMinutes(): void {
    this.#minute = this.clock.after(MINUTE_MS, () => {
      this.#changed();
      this.#startMinutes();
    });
  }
}

/** Where the two pictures differ: an item's old place and its new one. */
function differences(before: readonly Item[], after: readonly Item[]): Rectangle[] {
  const known = new Map(before.map((item) => [item.id, item]));
  const areas: Rectangle[] = [];
  for (const item of after) {
    const old = known.get(item.id);
    known.delete(item.id);
    if (old !== undefined && old.key === item.key && sameArea(old.area, item.area)) continue;
    if (old !== undefined) areas.push(intersect(old.area, SCREEN));
    areas.push(intersect(item.area, SCREEN));
  }
  for (const gone of known.values()) areas.push(intersect(gone.area, SCREEN));
  return areas;
}

function sameArea(a: Rectangle, b: Rectangle): boolean {
  return a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;
}
