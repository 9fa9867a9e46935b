/** The screen of a machine: noVNC's core on our channel. */
import RFB from '../novnc/core/rfb.js';
import { runConsolePage } from './console-page.js';
import { keepPicture } from './last-picture.js';
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
        const picture = keepPicture(element);
        // It takes its own away a moment later.
        if (picture !== null) screen.addEventListener('disconnect', () => element.replaceChildren(picture), { once: true });
      },
    };
  },
});
