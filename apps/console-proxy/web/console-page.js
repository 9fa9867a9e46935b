/**
 * What all console pages share: the bar above, the connection's state in words, the message when there is no
 * console, full screen, and the order in which things happen. A page brings a viewer: it gets the open channel and
 * draws. A console that was lost comes back by itself while its session may still be there.
 */
import { ConsoleChannel } from './console-channel.js';
import { describeEnd, describeReturn, mayGoOn, NO_LINK } from './endings.js';
import { keepGrant, readLink } from './link.js';
import { Notices } from './notices.js';
import { Reconnection } from './reconnection.js';

const NEW_SESSION_SAID_MS = 20_000;

const byId = (id) => document.getElementById(id);

/**
 * Run a page. `kind` is its word in the title, `consoleType` what it can show, `input` what its user can do there, in
 * words. `show(channel, element)` draws the console and answers a viewer: { focus(), setFit(on), close() }.
 */
export function runConsolePage({ kind, consoleType, input, show }) {
  const link = readLink();
  const notices = new Notices();
  const reconnection = new Reconnection(connect);
  let channel = null;
  let viewer = null;
  let lastSession = null;
  let fit = true;

  function connect() {
    if (link === null) return end(NO_LINK);
    setState('connecting', reconnection.active ? 'Reconnecting…' : 'Connecting…');
    byId('message').hidden = true;
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
    setName(session.instance.name);
    setState('connected', session.access === 'view' ? 'Connected, view only' : 'Connected');
    byId('stage').classList.remove('faded');
    byId('console').replaceChildren();
    document.body.dataset.session = session.id;
    viewer = show(from, byId('console'));
    viewer.setFit(fit);
    viewer.focus();
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
    viewer?.close();
    viewer = null;
    notices.clear();
    const words = describeReturn(ending);
    if (words !== null && link.resume !== null && reconnection.tryAgain()) {
      setState('connecting', 'Reconnecting…');
      byId('stage').classList.add('faded');
      notices.say('return', { words });
      return;
    }
    if (!mayGoOn(ending)) keepGrant(link, null);
    end(describeEnd(ending));
  }

  function end({ title, reason, help, detail, retry }) {
    reconnection.stop();
    setState('ended', 'Closed');
    const session = document.body.dataset.session;
    const words = { title, reason, help, detail: session ? `${detail} · session ${session}` : detail };
    for (const [part, text] of Object.entries(words)) {
      byId(`message-${part}`).textContent = text;
      byId(`message-${part}`).hidden = text === '';
    }
    byId('stage').classList.add('faded');
    byId('message').hidden = false;
    byId('reconnect').hidden = retry === 'none';
    byId('reconnect').classList.toggle('primary', retry === 'likely');
    // Out of the console, which keeps every key: readers say the card, and Tab leads on. Enter, perhaps still meant for
    // the machine, reconnects only where nothing else is to be thought of.
    byId(retry === 'likely' ? 'reconnect' : 'card').focus();
  }

  function setName(name) {
    byId('name').textContent = name || 'Console';
    document.title = `${name ? `${name} · ` : ''}${kind}`;
  }

  byId('reconnect').addEventListener('click', connect);
  byId('stay').addEventListener('click', () => {
    channel?.stay();
    viewer?.focus();
  });
  byId('fit').addEventListener('click', () => {
    fit = !fit;
    byId('fit').setAttribute('aria-pressed', String(fit));
    viewer?.setFit(fit);
    viewer?.focus();
  });
  byId('full-screen').addEventListener('click', toggleFullScreen);
  byId('full-screen').hidden = !document.fullscreenEnabled;
  // Another link pasted into the same tab changes the fragment without loading the page anew.
  addEventListener('hashchange', () => {
    if (location.hash.includes('token=')) location.reload();
  });

  setName(link?.title ?? '');
  connect();

  async function toggleFullScreen() {
    if (document.fullscreenElement === null) await byId('stage').requestFullscreen();
    else await document.exitFullscreen();
    viewer?.focus();
  }
}

function setState(state, words) {
  const element = byId('state');
  element.dataset.state = state;
  element.textContent = words;
}
