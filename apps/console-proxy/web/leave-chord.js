/**
 * The way out of a console for who has a keyboard alone: the machine gets every key, Tab too, so Ctrl, Alt and Shift pressed
 * together and let go, with no other key, lead out. The machine sees three modifiers come and go, which mean nothing there.
 */
const CHORD = ['Control', 'Alt', 'Shift'];

/** Calls `leave()` when the chord was made inside `element`. */
export function watchLeaveChord(element, leave) {
  const down = new Set();
  let complete = false;
  const start = () => {
    down.clear();
    complete = false;
  };
  element.addEventListener('keydown', ({ code }) => {
    const modifier = CHORD.find((name) => code.startsWith(name));
    if (modifier === undefined) return start();
    down.add(modifier);
    complete ||= down.size === CHORD.length;
  }, true);
  element.addEventListener('keyup', ({ code }) => {
    down.delete(CHORD.find((name) => code.startsWith(name)));
    if (!complete || down.size > 0) return;
    start();
    // When the machine has heard of the last key, too.
    setTimeout(leave, 0);
  }, true);
  element.addEventListener('focusout', start);
  addEventListener('blur', start);
}
