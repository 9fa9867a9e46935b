// Finds and kills what a test process left running. Children carry a mark in their environment, which
// survives detaching, changing the process group and the death of every parent.
import { readFileSync, readdirSync } from 'node:fs';

export const MARK = 'GATEHOUSE_TEST_MARK';

/**
 * Kills every process that carries the mark, at once.
 *
 * @param {string} mark
 * @returns {string[]} the command lines of those killed, shortened
 */
export function killLeftovers(mark) {
  const killed = [];
  for (const pid of processIds()) {
    if (pid === process.pid || !read(`/proc/${pid}/environ`).split('\0').includes(`${MARK}=${mark}`)) continue;
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
    try {
      process.kill(pid, 'SIGKILL');
      if (command) killed.push(command.slice(0, 120));
    } catch {
      // gone meanwhile
    }
  }
  return killed;
}

function processIds() {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
  } catch {
    return [];
  }
}

// Zombies and other users' processes cannot be read, and are not ours to kill.
function read(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
