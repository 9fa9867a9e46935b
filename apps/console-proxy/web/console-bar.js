/**
 * The bar above a console: the machine's name, the connection's state in words, and what the user can do with the picture. On a
 * phone it folds into a menu; in full screen it hides until it is wanted.
 */
import { canLockKeyboard, toggleFullScreen, watchFullScreen } from './full-screen.js';

const HINT_MS = 6_000;

const byId = (id) => document.getElementById(id);

export class ConsoleBar {
  #viewer = null;
  #session = null;
  #fit;
  #pan = false;
  #hintTimer = null;
  #kind;

  constructor(kind, fit) {
    this.#kind = kind;
    this.#fit = fit;
    byId('kind').textContent = kind;
    byId('menu').addEventListener('click', () => this.#openMenu(byId('menu').getAttribute('aria-expanded') === 'false'));
    byId('fit').addEventListener('click', () => this.#setPicture(!this.#fit, false));
    byId('pan').addEventListener('click', () => this.#setPicture(this.#fit, !this.#pan));
    byId('full-screen').hidden = !document.fullscreenEnabled;
    byId('full-screen').addEventListener('click', () => void toggleFullScreen());
    byId('show-bar').addEventListener('click', () => this.show());
    byId('copy-session').addEventListener('click', () => void copyFrom(byId('copy-session'), this.#session));
    watchFullScreen((isOn) => this.#fullScreen(isOn));
  }

  setName(name) {
    byId('name').textContent = name || 'Console';
    document.title = `${name ? `${name} · ` : ''}${this.#kind}`;
  }

  setState(state, words) {
    byId('state').dataset.state = state;
    byId('state').textContent = words;
  }

  /** The session that is shown, by a viewer. */
  attach(viewer, { id, access }) {
    this.#viewer = viewer;
    this.#session = id;
    byId('copy-session').disabled = false;
    byId('view-only').hidden = access !== 'view';
    this.#setPicture(this.#fit, false);
  }

  detach() {
    this.#viewer = null;
    byId('copy-session').disabled = true;
    byId('view-only').hidden = true;
    this.hint('');
  }

  /** Leads the user's focus to the first tool. */
  show() {
    document.body.classList.add('bar-wanted');
    const first = [byId('menu'), ...byId('tools').children].find((tool) => tool.offsetParent !== null && !tool.disabled);
    first?.focus();
  }

  /** Words over the console for a moment. */
  hint(words) {
    clearTimeout(this.#hintTimer);
    byId('hint').textContent = words;
    byId('hint').hidden = words === '';
    if (words !== '') this.#hintTimer = setTimeout(() => this.hint(''), HINT_MS);
  }

  /** To be called when the user is in the console or in a panel: neither is to be covered. */
  fold() {
    document.body.classList.remove('bar-wanted');
    this.#openMenu(false);
  }

  #openMenu(isOpen) {
    byId('menu').setAttribute('aria-expanded', String(isOpen));
    byId('tools').classList.toggle('open', isOpen);
  }

  #setPicture(fit, pan) {
    this.#fit = fit;
    this.#pan = pan;
    byId('fit').setAttribute('aria-pressed', String(fit));
    byId('pan').setAttribute('aria-pressed', String(pan));
    byId('pan').hidden = fit || this.#viewer?.setPan === undefined;
    this.#viewer?.setFit(fit);
    this.#viewer?.setPan?.(pan);
  }

  #fullScreen(isOn) {
    byId('full-screen').textContent = isOn ? 'Leave full screen' : 'Full screen';
    this.fold();
    this.#viewer?.focus();
    if (!isOn) return this.hint('');
    this.hint(canLockKeyboard() ? 'Every key goes to the machine. Hold Esc to leave full screen.' : 'Press Esc to leave full screen.');
  }
}

/** Copies, and says so on the button for a moment; where a browser does not copy, the words are shown to be copied by hand. */
export async function copyFrom(button, words) {
  const label = button.dataset.label ?? button.textContent;
  button.dataset.label = label;
  try {
    await navigator.clipboard.writeText(words);
    button.textContent = 'Copied';
  } catch {
    prompt('Copy this:', words);
  }
  setTimeout(() => (button.textContent = label), 2_000);
}
