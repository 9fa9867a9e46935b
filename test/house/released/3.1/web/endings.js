/**
 * What a close code means to the person who reads it, and what they can do. The proxy's own reason is shown too; this
 * adds what it cannot know. The codes are those of libs/errors (error-table.ts, endings.ts).
 */

const RETRY = 'Reconnect to open it again.';
const NEW_LINK = 'Request a new console link where you got this one.';

const ENDINGS = {
  1000: ['The console was closed', RETRY],
  1002: ['The connection broke', RETRY],
  1012: ['The server is restarting', 'Wait a few seconds, then reconnect.'],
  4020: ['The machine was deleted', ''],
  4021: ['The machine was stopped', 'Start it, then reconnect.'],
  4022: ['This session was ended', 'Ask whoever runs this service if you did not expect it.'],
  4023: ['Somebody else took over', 'This port serves one person at a time. Reconnect to take it back.'],
  4024: ['The session ran out', RETRY],
  4400: ['This link is for another page', 'Open it as it is, without changing its address.'],
  4401: ['This link no longer works', `Console links work for a limited time. ${NEW_LINK}`],
  4403: ['This page may not open the console', 'It is served under a name that the console proxy does not know. Whoever runs the service can allow it.'],
  4404: ['The machine is gone', 'It was deleted, or has moved. Look for it where you got this link.'],
  4409: ['Somebody is using this console', 'This port serves one person at a time. Reconnect when they have left.'],
  4412: ['The machine is not ready', 'Is it running? Start it, then reconnect.'],
  4429: ['The server is full', 'Try again in a minute.'],
  4503: ['The machine cannot be reached', 'If this lasts for more than a few minutes, tell whoever runs this service.'],
  4504: ['The machine does not answer', 'Its host took too long. Try again in a minute.'],
};

/** Endings after which the same link will hardly open the console again. */
const FINAL = [4020, 4400, 4401, 4403, 4404];

const LOST = ['The connection was lost', 'Check your network, then reconnect.'];
const UNREACHABLE = ['The server cannot be reached', 'Check your network. If others cannot reach it either, it may be restarting.'];
const UNKNOWN = ['The console ended', 'Try to reconnect. If it happens again, tell whoever runs this service the code below.'];

/**
 * What to show for the end of a channel: a title, the reason, what to do, a detail for reports, and whether to
 * reconnect is `likely` to help, `unlikely`, or not possible (`none`).
 */
export function describeEnd({ code, reason, wasOpen }) {
  const [title, help] = code === 1006 ? (wasOpen ? LOST : UNREACHABLE) : ENDINGS[code] ?? UNKNOWN;
  return { title, reason: asSentence(reason), help, detail: `Code ${code}`, retry: FINAL.includes(code) ? 'unlikely' : 'likely' };
}

/** The services' words begin small and end bare, as parts of a log line do. */
function asSentence(words) {
  if (words === '') return '';
  const begun = words[0].toUpperCase() + words.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

export const NO_LINK = {
  title: 'A console link is needed',
  reason: 'This page shows a machine\u2019s console, but this tab has no link to one.',
  help: 'Open the whole link, with everything after the #. If you have none, request one where you manage the machine.',
  detail: '',
  retry: 'none',
};
