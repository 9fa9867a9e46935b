/** The screen of a machine: noVNC's core on our channel. */
import RFB from '../novnc/core/rfb.js';
import { runConsolePage } from './console-page.js';
import { screenKeyboard } from './screen-keyboard.js';

runConsolePage({
  kind: 'Screen',
  consoleType: 'novnc',
  input: 'Type or move the pointer',
  keyboard: screenKeyboard,
  show(channel, element, { viewOnly }) {
    const screen = new RFB(element, channel, { shared: true });
    screen.background = 'transparent';
    screen.viewOnly = viewOnly;
    const canvas = element.querySelector('canvas');
    screen.addEventListener('credentialsrequired', () => channel.failed('The screen of this machine asks for a password that the console proxy was not given.'));
    screen.addEventListener('securityfailure', ({ detail }) => channel.failed(`The screen of this machine refused the console: ${detail.reason ?? `status ${detail.status}`}`));
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'application');
    canvas.setAttribute('aria-label', 'Screen of the machine');
    canvas.setAttribute('aria-describedby', 'leave-console');
    return {
      ready: new Promise((resolve) => screen.addEventListener('connect', resolve, { once: true })),
      focus: () => screen.focus(),
      setFit(on) {
        screen.scaleViewport = on;
        // A finger has no scroll bar: it moves the picture instead, see setPan.
        screen.clipViewport = !on && matchMedia('(any-pointer: coarse)').matches;
      },
      setPan: (on) => (screen.dragViewport = on),
      sendKey: (keysym, code, down) => screen.sendKey(keysym, code, down),
      close() {
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
