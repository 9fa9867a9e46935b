/**
 * What all console pages share: the bar above, the connection's state in words, the message when there is no
 * console, full screen, and the order in which things happen. A page brings a viewer: it gets the open channel and
 * draws.
 */
import { ConsoleChannel } from './console-channel.js';
import { describeEnd, NO_LINK } from './endings.js';
import { readLink } from './link.js';

const byId = (id) => document.getElementById(id);

/**
 * Run a page. `kind` is its word in the title, `consoleType` what it can show. `show(channel, element)` draws the console and answers a viewer:
 * { focus(), setFit(on), close() }.
 */
export function runConsolePage({ kind, consoleType, show }) {
  const link = readLink();
  let viewer = null;
  let fit = true;

  function connect() {
    if (link === null) return end(NO_LINK);
    setState('connecting', 'Connecting…');
    notice('');
    byId('message').hidden = true;
    delete document.body.dataset.session;
    const channel = new ConsoleChannel(link.token, consoleType);
    channel.oncontrol = (message) => control(channel, message);
    channel.onend = (ending) => end(describeEnd(ending));
  }

  function control(channel, message) {
    if (message.type === 'session') open(channel, message);
    if (message.type === 'warning') notice(message.words);
    if (message.type === 'drain') notice('The server is about to restart; this console will close shortly.');
  }

  function open(channel, session) {
    setName(session.instance.name);
    setState('connected', session.access === 'view' ? 'Connected, view only' : 'Connected');
    byId('stage').classList.remove('faded');
    byId('console').replaceChildren();
    document.body.dataset.session = session.id;
    viewer = show(channel, byId('console'));
    viewer.setFit(fit);
    viewer.focus();
    channel.flush();
  }

  function end({ title, reason, help, detail, retry }) {
    viewer?.close();
    viewer = null;
    setState('ended', 'Closed');
    notice('');
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
    if (retry === 'likely') byId('reconnect').focus();
  }

  function setName(name) {
    byId('name').textContent = name || 'Console';
    document.title = `${name ? `${name} · ` : ''}${kind}`;
  }

  byId('reconnect').addEventListener('click', connect);
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

function notice(words) {
  byId('notice').textContent = words;
  byId('notice').hidden = words === '';
}
