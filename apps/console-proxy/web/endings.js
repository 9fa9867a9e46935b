/**
 * What a close code means to the person who reads it, and what they can do. The proxy's own reason is shown too; this
 * adds what it cannot know. The codes are those of libs/errors (error-table.ts, endings.ts); a test holds this table
 * equal to them.
 */

const NEW_LINK = 'Request a new console link where you got this one.';
const WHILE_VALID = `Reconnect works as long as the link does. When it has expired: ${NEW_LINK.toLowerCase()}`;
/** What is done to a machine takes its links with it. */
const OPEN_AGAIN = 'Its links no longer work; you get a new one where you got this.';
const TELL = 'If it happens again, tell whoever runs this service the code below.';

/** Code: a title, what to do, and whether Reconnect is `likely` to help, may help `perhaps`, or never does (`none`). */
export const ENDINGS = {
  1000: ['The console was closed', WHILE_VALID, 'perhaps'],
  1001: ['The browser left', 'Reconnect to open it again.', 'likely'],
  1002: ['The connection broke', `Reconnect to open it again. ${TELL}`, 'likely'],
  1012: ['The server is restarting', 'Wait a few seconds, then reconnect.', 'likely'],
  4020: ['The machine was deleted', '', 'none'],
  4021: ['The machine was stopped', 'Start it, then request a new link where you got this one.', 'none'],
  4022: ['This session was ended', 'Ask whoever runs this service if you did not expect it.', 'perhaps'],
  4023: ['This session went on elsewhere', 'Another tab or window opened it. Reconnect to take it back.', 'likely'],
  4024: ['The session ran out', WHILE_VALID, 'perhaps'],
  4025: ['Nobody was there', `The console was closed to free it for others. ${WHILE_VALID}`, 'perhaps'],
  4026: ['The session has reached its limit', `Sessions last for a limited time. ${WHILE_VALID}`, 'perhaps'],
  4027: ['The machine was rebooted', OPEN_AGAIN, 'none'],
  4028: ['The machine was rebuilt', OPEN_AGAIN, 'none'],
  4029: ['The machine was resized', OPEN_AGAIN, 'none'],
  4030: ['The machine was shelved', 'Unshelve it, then request a new link where you got this one.', 'none'],
  4031: ['The machine has moved', OPEN_AGAIN, 'none'],
  4032: ['The machine has moved', `Its former host was given up. ${OPEN_AGAIN}`, 'none'],
  4033: ['This console is gone', `The machine has other consoles now. ${OPEN_AGAIN}`, 'none'],
  4034: ['This screen was opened anew', `Reconnect takes it back. When the link has expired: ${NEW_LINK.toLowerCase()}`, 'perhaps'],
  4400: ['This link is for another page', 'Open it as it is, without changing its address.', 'none'],
  4401: ['This link no longer works', `Console links work for a limited time. ${NEW_LINK}`, 'none'],
  4403: ['This page may not open the console', 'It is served under a name that the console proxy does not know. Whoever runs the service can allow it.', 'perhaps'],
  4404: ['The machine is gone', 'It was deleted, or has moved. Look for it where you got this link.', 'none'],
  4409: ['Somebody is using this console', 'Try again when they have left.', 'likely'],
  4410: ['This console exists already', `Try again. ${TELL}`, 'likely'],
  4411: ['Every console is in use', 'Each serves one person at a time. Try again when somebody has left.', 'likely'],
  4412: ['The machine is not ready', 'Is it running? Start it, then try again.', 'likely'],
  4429: ['Too many consoles are open', 'Close one that is no longer needed, or try again in a minute.', 'likely'],
  4499: ['The console was not opened', 'Try again.', 'likely'],
  4500: ['Something went wrong', `Try again. ${TELL}`, 'likely'],
  4501: ['This console cannot be shown here', 'Whoever runs this service can tell which links it opens.', 'none'],
  4503: ['The machine cannot be reached', 'If this lasts for more than a few minutes, tell whoever runs this service.', 'likely'],
  4504: ['The machine does not answer', 'Its host took too long. Try again in a minute.', 'likely'],
};

const LOST = ['The connection was lost', 'Check your network, then reconnect.', 'likely'];
const UNREACHABLE = ['The server cannot be reached', 'Check your network. If others cannot reach it either, it may be restarting.', 'likely'];
const UNKNOWN = ['The console ended', `Try to reconnect. ${TELL}`, 'perhaps'];

/**
 * What to show for the end of a channel: a title, the reason, what to do, a detail for reports, and whether to reconnect
 * is `likely` to help, does so `perhaps`, or never (`none`).
 */
export function describeEnd({ code, reason, wasOpen }) {
  const [title, help, retry] = code === 1006 ? (wasOpen ? LOST : UNREACHABLE) : ENDINGS[code] ?? UNKNOWN;
  return { title, reason: asSentence(reason), help, detail: `Code ${code}`, retry };
}

/** After these a page that had a session comes back by itself: nobody closed it, and what is away may return. */
const RETURNING = {
  1001: 'The connection was lost. Trying again…',
  1006: 'The connection was lost. Trying again…',
  1012: 'The server is restarting. Your console comes back by itself…',
  // After a restart more may come at once than a proxy lets in at once.
  4429: 'The server is busy at the moment. Trying again…',
  4503: 'The machine cannot be reached at the moment. Trying again…',
  4504: 'The machine does not answer at the moment. Trying again…',
};

/** What to say while the page tries to come back; null when it should not try. */
export function describeReturn({ code }) {
  return RETURNING[code] ?? null;
}

/** It went on elsewhere, or an attempt to come back failed for a reason that has nothing to do with it. */
const STILL_THERE = [4023, 4499, 4500];

/** True when the session may still be there after this end, so that its grant is worth keeping. */
export function mayGoOn({ code }) {
  return code in RETURNING || STILL_THERE.includes(code);
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
