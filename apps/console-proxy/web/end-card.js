/** The card over a console that is not there (any more): why, what to do, and what to report. */
import { copyFrom } from './console-bar.js';

const byId = (id) => document.getElementById(id);

export class EndCard {
  #report = '';

  constructor(reconnect) {
    byId('reconnect').addEventListener('click', reconnect);
    byId('copy-report').addEventListener('click', () => void copyFrom(byId('copy-report'), this.#report));
  }

  /** `ending` is what endings.js answers; `session` the id of the one that has ended, or undefined. */
  show({ title, reason, help, detail, retry }, session) {
    this.#report = session ? `${detail} · session ${session}` : detail;
    for (const [part, text] of Object.entries({ title, reason, help, detail: this.#report })) {
      byId(`message-${part}`).textContent = text;
      byId(`message-${part}`).hidden = text === '';
    }
    byId('stage').classList.add('faded');
    byId('message').hidden = false;
    byId('reconnect').hidden = retry === 'none';
    byId('reconnect').classList.toggle('primary', retry === 'likely');
    byId('copy-report').hidden = !session;
    // Out of the console, which keeps every key: readers say the card, and Tab leads on. Enter, perhaps still meant for
    // the machine, reconnects only where nothing else is to be thought of.
    byId(retry === 'likely' ? 'reconnect' : 'card').focus();
  }

  hide() {
    byId('message').hidden = true;
  }
}
