/**
 * In which states an instance may begin an action, and the task that says that it is under way: Nova's own
 * (nova/compute/api.py, check_instance_state), where instances can be in such a state here.
 */
import type { InstanceState } from '@gatehouse/cell-db/instances-store';

export interface ActionRule extends InstanceState {
  readonly vmStates: readonly string[];
  readonly task: string;
}

const IDLE = [null];

export const ACTION_RULES = Object.freeze({
  start: { vmStates: ['stopped'], taskStates: IDLE, task: 'powering-on' },
  stop: { vmStates: ['active', 'error'], taskStates: IDLE, task: 'powering-off' },
  softReboot: { vmStates: ['active'], taskStates: IDLE, task: 'rebooting' },
  hardReboot: { vmStates: ['active', 'stopped', 'error'], taskStates: [null, 'rebooting', 'rebooting_hard', 'resuming'], task: 'rebooting_hard' },
  rebuild: { vmStates: ['active', 'stopped', 'error'], taskStates: IDLE, task: 'rebuilding' },
  resize: { vmStates: ['active', 'stopped'], taskStates: IDLE, task: 'resize_prep' },
  migrate: { vmStates: ['active', 'stopped'], taskStates: IDLE, task: 'resize_prep' },
  confirmResize: { vmStates: ['resized'], taskStates: IDLE, task: 'resize_confirming' },
  revertResize: { vmStates: ['resized'], taskStates: IDLE, task: 'resize_reverting' },
  shelve: { vmStates: ['active', 'stopped'], taskStates: IDLE, task: 'shelving' },
  shelveOffload: { vmStates: ['shelved'], taskStates: IDLE, task: 'shelving_offloading' },
  unshelve: { vmStates: ['shelved', 'shelved_offloaded'], taskStates: IDLE, task: 'unshelving' },
  /** In whatever task its host left it. */
  evacuate: { vmStates: ['active', 'stopped', 'error'], task: 'rebuilding' },
  'os-migrateLive': { vmStates: ['active'], taskStates: IDLE, task: 'migrating' },
} satisfies Record<string, ActionRule>);

export type ActionName = keyof typeof ACTION_RULES;

/** Nova's name for the action in its refusals. */
const SHOWN: Partial<Record<ActionName, string>> = { softReboot: 'reboot', hardReboot: 'reboot' };

/** Why the action may not begin, in Nova's words. */
export function whyNot(action: ActionName, uuid: string, vmState: string | null, taskState: string | null): string {
  const inVmState = (ACTION_RULES[action] as ActionRule).vmStates.includes(vmState ?? '');
  const [attribute, state] = inVmState ? ['task_state', taskState] : ['vm_state', vmState];
  return `Cannot '${SHOWN[action] ?? action}' instance ${uuid} while it is in ${attribute} ${state}`;
}
