/** How far a run is, on the last line of a terminal: a bar, the rows, how many a second, and what remains. */

export interface Screen {
  readonly columns: number;
  write(text: string): void;
}

const DRAWN_EVERY_MS = 100;
const BAR_WIDTH_MAX = 30;
const ERASE_LINE = '\r\x1b[K';

export class Progress {
  readonly #screen: Screen;
  readonly #total: number;
  readonly #clockMs: () => number;
  readonly #startedMs: number;
  #rows = 0;
  #drawnMs = Number.NEGATIVE_INFINITY;

  /** `total`: rows that there are to do. */
  constructor(screen: Screen, total: number, clockMs: () => number) {
    this.#screen = screen;
    this.#total = total;
    this.#clockMs = clockMs;
    this.#startedMs = clockMs();
    this.#draw();
  }

  add(rows: number): void {
    this.#rows += rows;
    if (this.#clockMs() - this.#drawnMs >= DRAWN_EVERY_MS) this.#draw();
  }

  /** Above the bar. */
  print(write: () => void): void {
    this.#screen.write(ERASE_LINE);
    write();
    this.#draw();
  }

  end(): void {
    this.#screen.write(ERASE_LINE);
  }

  #draw(): void {
    this.#drawnMs = this.#clockMs();
    this.#screen.write(ERASE_LINE + progressText(this.#rows, this.#total, (this.#drawnMs - this.#startedMs) / 1_000, this.#screen.columns));
  }
}

/** One line, shorter than the terminal is wide. */
export function progressText(rows: number, total: number, seconds: number, columns: number): string {
  const all = Math.max(total, rows);
  const part = all === 0 ? 1 : rows / all;
  const rate = seconds > 0 ? rows / seconds : 0;
  const left = rate > 0 ? `, ${durationText((all - rows) / rate)} left` : '';
  const words = `${String(Math.floor(part * 100)).padStart(3)} %  ${grouped(rows)} of ${grouped(all)} rows  ${grouped(Math.round(rate))}/s${left}`;
  const width = Math.min(BAR_WIDTH_MAX, columns - words.length - 5);
  if (width < 5) return words.slice(0, Math.max(0, columns - 1));
  const filled = Math.floor(part * width);
  return `[${'#'.repeat(filled)}${'-'.repeat(width - filled)}] ${words}`;
}

function durationText(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  return whole < 3_600 ? `${Math.floor(whole / 60)} min ${whole % 60} s` : `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}

function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}
