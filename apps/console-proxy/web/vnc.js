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
      },
    };
  },
});
