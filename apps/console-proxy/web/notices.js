/**
 * What is said above a console without ending it, one line at a time: that it will be closed soon, in how many seconds,
 * and what can be done about it. The most urgent one is shown; when it no longer holds, the next.
 */

const byId = (id) => document.getElementById(id);

export class Notices {
  /** Topic to { words, untilMs: when it happens or null, canStay }. */
  #said = new Map();
  #timer = null;

  /** `seconds` until what the words announce; `canStay`: the user can prevent it. */
  say(topic, { words, seconds = null, canStay = false }) {
    this.#said.set(topic, { words, canStay, untilMs: seconds === null ? null : performance.now() + seconds * 1000 });
    this.#draw();
  }

  unsay(topic) {
    this.#said.delete(topic);
    this.#draw();
  }

  clear() {
    this.#said.clear();
    this.#draw();
  }

  #draw() {
    const [notice] = [...this.#said.values()].sort((a, b) => (a.untilMs ?? 0) - (b.untilMs ?? 0));
    byId('notice').hidden = notice === undefined;
    if (notice === undefined || notice.untilMs === null) this.#stop();
    else this.#timer ??= setInterval(() => this.#draw(), 250);
    if (notice === undefined) return;
    // The words once, the seconds silently: a screen reader would say nothing else any more.
    if (byId('notice-words').textContent !== notice.words) byId('notice-words').textContent = notice.words;
    byId('notice-seconds').textContent = notice.untilMs === null ? '' : `${secondsTo(notice.untilMs)} s`;
    byId('stay').hidden = !notice.canStay;
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }
}

function secondsTo(untilMs) {
  return Math.max(0, Math.ceil((untilMs - performance.now()) / 1000));
}
