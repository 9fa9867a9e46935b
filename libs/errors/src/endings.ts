/**
 * Why a console session that ran has ended: the close code and the words its user reads. Refusals at the
 * start of a session are errors (error-table.ts); these are the ends of sessions that were open.
 */

export interface Ending {
  /** WebSocket close code: 1000 is the guest's own end, 1012 a service restart, 40xx ours. */
  readonly close: number;
  readonly words: string;
}

export const END_REASONS = [
  'guest_closed',
  'client_closed',
  'client_lost',
  'instance_deleted',
  'instance_stopped',
  'instance_rebooted',
  'instance_rebuilt',
  'instance_resized',
  'instance_shelved',
  'instance_migrated',
  'instance_evacuated',
  'console_gone',
  'idle_timeout',
  'lifetime_over',
  'ended_by_operator',
  'ended_by_user',
  'superseded',
  'screen_taken',
  'lease_lost',
  'host_unreachable',
  'protocol_error',
  'proxy_draining',
  'host_draining',
] as const;

export type EndReason = (typeof END_REASONS)[number];

export const ENDINGS: Readonly<Record<EndReason, Ending>> = Object.freeze({
  guest_closed: { close: 1000, words: 'The machine closed the console.' },
  client_closed: { close: 1000, words: 'The console was closed.' },
  client_lost: { close: 1001, words: 'The browser went away and did not come back.' },
  instance_deleted: { close: 4020, words: 'The instance was deleted.' },
  instance_stopped: { close: 4021, words: 'The instance was stopped.' },
  ended_by_operator: { close: 4022, words: 'An operator ended this session.' },
  superseded: { close: 4023, words: 'A newer session took over this port.' },
  screen_taken: { close: 4034, words: 'Somebody opened this screen anew; by SPICE it is shown to one at a time.' },
  ended_by_user: { close: 4022, words: 'A user of this project ended this session.' },
  lease_lost: { close: 4024, words: 'The session was no longer known; open the console again.' },
  idle_timeout: { close: 4025, words: 'Nothing was typed for too long.' },
  lifetime_over: { close: 4026, words: 'The session has lasted as long as sessions may.' },
  instance_rebooted: { close: 4027, words: 'The instance was rebooted; open the console again.' },
  instance_rebuilt: { close: 4028, words: 'The instance was rebuilt; open the console again.' },
  instance_resized: { close: 4029, words: 'The instance was resized; open the console again.' },
  instance_shelved: { close: 4030, words: 'The instance was shelved.' },
  instance_migrated: { close: 4031, words: 'The instance moved to another host; open the console again.' },
  instance_evacuated: { close: 4032, words: 'The instance was evacuated from its host; open the console again.' },
  console_gone: { close: 4033, words: 'The instance no longer has this console; open the console again.' },
  host_unreachable: { close: 4503, words: 'The connection to the host was lost.' },
  protocol_error: { close: 1002, words: 'The browser sent something that is not a console message.' },
  proxy_draining: { close: 1012, words: 'The console proxy is restarting; open the console again.' },
  host_draining: { close: 1012, words: 'The compute agent is restarting; open the console again.' },
});

/** The ending of a reason that came over a wire; an unknown one is shown as an operator's end with its own name. */
export function endingOf(reason: string): Ending {
  if (Object.hasOwn(ENDINGS, reason)) return ENDINGS[reason as EndReason];
  return { close: ENDINGS.ended_by_operator.close, words: `The session ended: ${reason.slice(0, 60)}.` };
}
