/** The screen of a machine: noVNC's core on our channel. */
import RFB from '../novnc/core/rfb.js';
import { runConsolePage } from './console-page.js';

const ctrlAltDel = document.getElementById('ctrl-alt-del');
let current = null;

ctrlAltDel.addEventListener('click', () => {
  current?.sendCtrlAltDel();
  current?.focus();
});

runConsolePage({
  kind: 'Screen',
  consoleType: 'novnc',
  input: 'Type or move the pointer',
  show(channel, element) {
    const screen = new RFB(element, channel, { shared: true });
    screen.background = 'transparent';
    screen.addEventListener('connect', () => (ctrlAltDel.disabled = false));
    current = screen;
    return {
      focus: () => screen.focus(),
      setFit(on) {
        screen.scaleViewport = on;
        screen.clipViewport = false;
      },
      close() {
        ctrlAltDel.disabled = true;
        current = null;
        screen.blur();
        keepPicture(element, screen);
      },
    };
  },
});

/** The last picture stays, behind the message that says why there is no new one. */
function keepPicture(element, screen) {
  const picture = element.querySelector('canvas');
  if (picture === null || picture.width === 0) return;
  const copy = document.createElement('canvas');
  copy.className = 'last-picture';
  copy.width = picture.width;
  copy.height = picture.height;
  copy.getContext('2d').drawImage(picture, 0, 0);
  screen.addEventListener('disconnect', () => element.replaceChildren(copy), { once: true });
}
