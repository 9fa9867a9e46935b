/**
 * Types a text into the machine as a person would: for passwords, which a machine's screen takes in no other way, and for what is
 * in the clipboard. What cannot be typed is named before anything is. The text leaves the page's elements the moment typing begins.
 */
const TEXT_CHARACTERS_MAX = 20_000;
const LAYOUT_KEPT_AS = 'gatehouse layout';

const byId = (id) => document.getElementById(id);

export class TypePanel {
  #keyboard;
  #viewer = null;
  #typing = null;
  #done;

  /** `done()` is called when a text was typed, or will not be: the user goes on in the console. */
  constructor(keyboard, done) {
    this.#keyboard = keyboard;
    this.#done = done;
    byId('type-layout').append(...keyboard.layouts.map(({ id, name }) => new Option(name, id)));
    byId('type-layout').value = keptLayout(keyboard.layouts);
    byId('type-layout-choice').hidden = keyboard.layouts.length === 0;
    byId('type-layout').addEventListener('change', ({ target }) => keepLayout(target.value));
    byId('type-hidden').addEventListener('change', ({ target }) => byId('type-what').classList.toggle('hidden-characters', target.checked));
    byId('type-clipboard').hidden = navigator.clipboard?.readText === undefined;
    byId('type-clipboard').addEventListener('click', () => this.#readClipboard());
    byId('type-cancel').addEventListener('click', () => this.#typing?.abort());
    byId('type-form').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#type();
    });
    byId('type-form').addEventListener('input', () => this.#check());
    byId('type-what').addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) byId('type-form').requestSubmit();
    });
    addEventListener('pagehide', () => this.#forget());
  }

  /** The layout that the user has said the machine has. */
  get layout() {
    return byId('type-layout').value;
  }

  opened() {
    this.#check();
    byId(this.#typing === null ? 'type-what' : 'type-cancel').focus();
  }

  closed() {
    this.#forget();
  }

  /** What is typed goes to this viewer; null: there is none any more, and what was still to be typed is not. */
  attach(viewer) {
    this.#viewer = viewer;
    if (viewer !== null) return;
    this.#typing?.abort();
    this.#forget();
  }

  async #type() {
    const plan = this.#check();
    if (plan.problem !== null || this.#typing !== null || this.#viewer === null) return;
    this.#forget();
    this.#typing = new AbortController();
    this.#show(true);
    const typed = await this.#make(plan.steps, this.#typing.signal);
    this.#typing = null;
    this.#show(false);
    const all = plan.steps.length;
    byId('type-note').textContent = typed === all ? `Typed ${countOf(all, 'character')}.` : `Stopped: ${typed} of ${countOf(all, 'character')} were typed.`;
    this.#done();
  }

  /** Resolves with how many characters were typed. */
  async #make(steps, signal) {
    const viewer = this.#viewer;
    byId('type-bar').max = steps.length;
    for (const [index, step] of steps.entries()) {
      if (signal.aborted) return index;
      byId('type-bar').value = index;
      byId('type-count').textContent = `${index} of ${countOf(steps.length, 'character')}`;
      await step(viewer);
    }
    return steps.length;
  }

  /** What would be typed now, said below the text: { steps, problem: in words, or null }. */
  #check() {
    const text = this.#text();
    const { untypable, steps } = this.#keyboard.plan(text, { layout: this.layout, slow: byId('type-slow').checked });
    const problem = problemOf(text, untypable, this.#keyboard.layouts.find(({ id }) => id === this.layout)?.name);
    byId('type-note').textContent = problem ?? whatLinesDo(text);
    byId('type-note').classList.toggle('problem', problem !== null);
    byId('type-go').disabled = problem !== null || steps.length === 0;
    return { steps, problem };
  }

  /** A line break at the end came with the copy; Enter there is asked for. */
  #text() {
    const text = byId('type-what').value.replaceAll('\r\n', '\n').replace(/\n+$/, '');
    return text !== '' && byId('type-enter').checked ? `${text}\n` : text;
  }

  async #readClipboard() {
    try {
      byId('type-what').value = await navigator.clipboard.readText();
      this.#check();
    } catch {
      byId('type-note').textContent = 'The browser does not let this page read the clipboard. Paste into the field instead.';
    }
    byId('type-what').focus();
  }

  #forget() {
    byId('type-what').value = '';
    this.#check();
  }

  #show(isTyping) {
    byId('type-form').hidden = isTyping;
    byId('type-progress').hidden = !isTyping;
    if (isTyping) byId('type-cancel').focus();
  }
}

function problemOf(text, untypable, layout) {
  if (text.length > TEXT_CHARACTERS_MAX) return `The text has ${text.length} characters; at most ${TEXT_CHARACTERS_MAX} are typed at one time.`;
  if (untypable.length === 0) return null;
  const names = untypable.slice(0, 12).map(nameOf).join(', ');
  const more = untypable.length > 12 ? ` and ${untypable.length - 12} more` : '';
  return `${layout === undefined ? 'These are not text' : `The ${layout} keyboard does not have these characters`}: ${names}${more}. Nothing is typed while they are there.`;
}

/** A line break may run a command: it is said before. */
function whatLinesDo(text) {
  const enters = text.split('\n').length - 1;
  const isAskedFor = enters === 1 && text.endsWith('\n');
  return enters === 0 || isAskedFor ? '' : `The text has line breaks: Enter is pressed ${countOf(enters, 'time')}.`;
}

/** As it is where it can be seen; its number in any case. */
function nameOf(character) {
  const number = `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
  return /[\p{L}\p{N}\p{P}\p{S}]/u.test(character) ? `${character} (${number})` : number;
}

function countOf(count, thing) {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

function keptLayout(layouts) {
  try {
    const kept = localStorage.getItem(LAYOUT_KEPT_AS);
    if (layouts.some(({ id }) => id === kept)) return kept;
  } catch {
    // Storage is switched off.
  }
  return layouts[0]?.id ?? '';
}

function keepLayout(layout) {
  try {
    localStorage.setItem(LAYOUT_KEPT_AS, layout);
  } catch {
    // It holds as long as the page.
  }
}
