/**
 * Rectangles, and the damage that a viewer has not been sent yet: a short list of rectangles that never overlap by much,
 * joined into one when there would be too many. To send too much is allowed, to forget a pixel is not.
 */

export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const DAMAGE_RECTANGLES_MAX = 24;

export function isEmpty(area: Rectangle): boolean {
  return area.width <= 0 || area.height <= 0;
}

export function intersect(a: Rectangle, b: Rectangle): Rectangle {
  const x = Math.max(a.x, b.x);
  const y = Math.max(a.y, b.y);
  const right = Math.min(a.x + a.width, b.x + b.width);
  const bottom = Math.min(a.y + a.height, b.y + b.height);
  return { x, y, width: Math.max(0, right - x), height: Math.max(0, bottom - y) };
}

/** The smallest rectangle that holds both. */
export function join(a: Rectangle, b: Rectangle): Rectangle {
  const x = Math.min(a.x, b.x);
  const y = Math.min(a.y, b.y);
  const right = Math.max(a.x + a.width, b.x + b.width);
  const bottom = Math.max(a.y + a.height, b.y + b.height);
  return { x, y, width: right - x, height: bottom - y };
}

function contains(outer: Rectangle, inner: Rectangle): boolean {
  return (
    inner.x >= outer.x &&
    inner.y >= outer.y &&
    inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height
  );
}

/** What of `whole` lies outside `hole`: at most four rectangles. */
function subtract(whole: Rectangle, hole: Rectangle): Rectangle[] {
  const cut = intersect(whole, hole);
  if (isEmpty(cut)) return [whole];
  const belowY = cut.y + cut.height;
  const rightX = cut.x + cut.width;
  return [
    { x: whole.x, y: whole.y, width: whole.width, height: cut.y - whole.y },
    { x: whole.x, y: belowY, width: whole.width, height: whole.y + whole.height - belowY },
    { x: whole.x, y: cut.y, width: cut.x - whole.x, height: cut.height },
    { x: rightX, y: cut.y, width: whole.x + whole.width - rightX, height: cut.height },
  ].filter((part) => !isEmpty(part));
}

export class Damage {
  #areas: Rectangle[] = [];

  add(area: Rectangle): void {
    if (isEmpty(area) || this.#areas.some((known) => contains(known, area))) return;
    this.#areas = this.#areas.filter((known) => !contains(area, known));
    this.#areas.push(area);
    if (this.#areas.length > DAMAGE_RECTANGLES_MAX) this.#areas = [this.#areas.reduce(join)];
  }

  /** Takes the damage within `area` and forgets it; what lies outside stays. */
  take(area: Rectangle): Rectangle[] {
    const taken: Rectangle[] = [];
    const left: Rectangle[] = [];
    for (const damaged of this.#areas) {
      const part = intersect(damaged, area);
      if (!isEmpty(part)) taken.push(part);
      left.push(...subtract(damaged, area));
    }
    this.#areas = left.length > DAMAGE_RECTANGLES_MAX ? [left.reduce(join)] : left;
    return taken;
  }
}
