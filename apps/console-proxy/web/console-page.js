/**
 * What all console pages do, and in which order. A page brings a viewer, which gets the open channel and draws; a console that was
 * lost comes back by itself while its session may still be there.
 *
 * A page is { kind: its word in the title, consoleType: what it can show, input: what its user can do there, in words, keyboard: see
 * screen-keyboard.js, fit: whether the picture is fitted to the window at first, show(channel, element, { viewOnly, modifiers, link }) }, and `show` answers a viewer:
 *
 *   ready                        optional: a promise, resolved when keys can be sent; without one they can at once
 *   focus()                      keys go to the machine from now on
 *   setFit(on)                   the picture as large as the window, or as large as it is
 *   setPan(on)                   optional: a drag moves the picture instead of the machine's pointer, where it is not fitted
 *   sendKey(keysym, code, down)  a screen's: one key, by its X11 keysym and its KeyboardEvent.code
 *   sendText(text)               a serial line's
 *   close()                      the console has ended: the last picture stays, and nothing is sent any more
 *
 * `viewOnly`: the proxy lets no input through. `modifiers` are the StickyModifiers of the page; a screen need not look at them, for
 * its machine has been told. `link` holds the token and the session's grant.
 */
import { ConsoleBar } from './console-bar.js';
import { ConsoleChannel } from './console-channel.js';
import { EndCard } from './end-card.js';
import { describeEnd, describeReturn, mayGoOn, NO_LINK } from './endings.js';
import { InputTools } from './input-tools.js';
import { keepGrant, readLink } from './link.js';
import { Notices } from './notices.js';
import { Reconnection } from './reconnection.js';
import { keepInVisibleArea } from './visible-area.js';

const NEW_SESSION_SAID_MS = 20_000;

const byId = (id) => document.getElementById(id);

export function runConsolePage({ kind, consoleType, input, keyboard, fit = true, show }) {
  const link = readLink();
  const notices = new Notices();
  const reconnection = new Reconnection(connect);
  const bar = new ConsoleBar(kind, fit);
  const tools = new InputTools(keyboard, () => bar.show());
  const endCard = new EndCard(connect);
  let channel = null;
  let viewer = null;
  let lastSession = null;

  function connect() {
    if (link === null) return end(NO_LINK);
    bar.setState('connecting', reconnection.active ? 'Reconnecting…' : 'Connecting…');
    endCard.hide();
    delete document.body.dataset.session;
    const opened = new ConsoleChannel(link, consoleType);
    channel = opened;
    opened.oncontrol = (message) => control(opened, message);
    opened.onend = ended;
  }

  function control(from, message) {
    if (message.type === 'session') open(from, message);
    if (message.type === 'warning') warn(message);
    if (message.type === 'drain') notices.say('drain', { words: 'The server is about to restart. Your console comes back by itself.' });
  }

  function open(from, session) {
    const wasLost = reconnection.active;
    reconnection.arrived();
    notices.clear();
    if (wasLost && session.id !== lastSession) tellOfNewSession();
    lastSession = session.id;
    if (session.resume) keepGrant(link, session.resume);
    bar.setName(session.instance.name);
    bar.setState('connected', 'Connected');
    byId('stage').classList.remove('faded');
    byId('console').replaceChildren();
    document.body.dataset.session = session.id;
    const viewOnly = session.access === 'view';
    viewer = show(from, byId('console'), { viewOnly, modifiers: tools.modifiers, link });
    bar.attach(viewer, session);
    void tools.attach(viewer, viewOnly);
    viewer.focus();
    if (!wasLost) bar.hint(howToType(viewOnly));
    from.flush();
  }

  /** It was lost for too long, or somebody ended it meanwhile: what it ended with, nobody could tell this page. */
  function tellOfNewSession() {
    notices.say('new', { words: 'Your session ended while the connection was lost. This is a new one.' });
    setTimeout(() => notices.unsay('new'), NEW_SESSION_SAID_MS);
  }

  function warn({ reason, seconds }) {
    const words = {
      idle_timeout: `Nothing was typed for a while. ${input} to stay; this console closes in`,
      lifetime_over: 'This session has reached its limit. Finish what you are doing; it closes in',
    };
    if (seconds === null) notices.unsay(reason);
    else notices.say(reason, { words: words[reason] ?? 'This console closes in', seconds, canStay: reason === 'idle_timeout' });
  }

  function ended(ending) {
    channel = null;
    tools.detach();
    bar.detach();
    viewer?.close();
    viewer = null;
    notices.clear();
    const words = describeReturn(ending);
    if (words !== null && link.resume !== null && reconnection.tryAgain()) {
      bar.setState('connecting', 'Reconnecting…');
      byId('stage').classList.add('faded');
      notices.say('return', { words });
      return;
    }
    if (!mayGoOn(ending)) keepGrant(link, null);
    end(describeEnd(ending));
  }

  function end(ending) {
    reconnection.stop();
    bar.setState('ended', 'Closed');
    endCard.show(ending, document.body.dataset.session);
  }

  byId('stay').addEventListener('click', () => {
    channel?.stay();
    viewer?.focus();
  });
  byId('console').addEventListener('focusin', () => bar.fold());
  for (const id of ['type-text', 'keys', 'keyboard']) {
    byId(id).addEventListener('click', () => {
      bar.fold();
      bar.hint('');
    });
  }
  // Whoever types knows how, and may need the screen's last line, where a prompt often is.
  byId('console').addEventListener('keydown', () => bar.hint(''), true);
  keepInVisibleArea();
  // Another link pasted into the same tab changes the fragment without loading the page anew.
  addEventListener('hashchange', () => {
    if (location.hash.includes('token=')) location.reload();
  });

  bar.setName(link?.title ?? '');
  connect();
}

function howToType(viewOnly) {
  if (viewOnly) return 'You can watch this console, not type into it.';
  if (matchMedia('(any-hover: none)').matches) return 'Keyboard, in the menu, lets you type.';
  return byId('leave-console').textContent;
}
