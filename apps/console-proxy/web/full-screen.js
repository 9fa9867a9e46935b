/**
 * Full screen, with every key where the browser lets a page have them: Esc, Alt-Tab and the Windows key go to the machine
 * then, and Esc held down leaves.
 */
export async function toggleFullScreen() {
  if (document.fullscreenElement !== null) return document.exitFullscreen();
  await document.body.requestFullscreen();
  try {
    await navigator.keyboard.lock();
  } catch {
    // This browser keeps its keys; full screen is of use all the same.
  }
}

/** Whether full screen will give the machine every key. */
export function canLockKeyboard() {
  return typeof navigator.keyboard?.lock === 'function';
}

/** Calls `changed(isOn)` whenever full screen begins or ends, by whatever way. */
export function watchFullScreen(changed) {
  document.addEventListener('fullscreenchange', () => {
    const isOn = document.fullscreenElement !== null;
    if (!isOn) navigator.keyboard?.unlock?.();
    changed(isOn);
  });
}
