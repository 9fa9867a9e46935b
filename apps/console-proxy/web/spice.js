/** The screen of a machine by SPICE: spice-html5 on our channel, and on one of its own for each of its channels. */
import { runConsolePage } from './console-page.js';
import { keepPicture } from './last-picture.js';
import { screenKeyboard } from './screen-keyboard.js';
import { openSpice } from './spice-client.js';
import { SpiceInput } from './spice-input.js';

runConsolePage({
  kind: 'Screen',
  consoleType: 'spice-html5',
  input: 'Type or move the pointer',
  keyboard: screenKeyboard,
  show(channel, element, { viewOnly, link }) {
    const screen = makeScreen();
    element.replaceChildren(screen);
    const input = new SpiceInput(screen, () => spice.mouseMode);
    const shown = whenCalled();
    const heard = whenCalled();
    const events = {
      screen(canvas) {
        canvas.tabIndex = -1;
        if (!viewOnly) input.look(canvas);
        shown.call();
      },
      inputs(conn) {
        if (!viewOnly) input.attach(conn);
        heard.call();
      },
    };
    const spice = openSpice({ channel, link, screenId: screen.id, events });
    return {
      ready: Promise.all([shown.promise, heard.promise]),
      focus: () => screen.focus({ preventScroll: true }),
      setFit: (on) => void screen.classList.toggle('fitted', on),
      setPan: (on) => void screen.classList.toggle('panned', on),
      sendKey: (_keysym, code, down) => input.sendKey(code, down),
      close() {
        input.stop();
        const picture = keepPicture(screen);
        spice.stop();
        element.replaceChildren(...(picture === null ? [] : [picture]));
      },
    };
  },
});

/** A promise, and the function that resolves it. */
function whenCalled() {
  let call;
  const promise = new Promise((resolve) => (call = resolve));
  return { promise, call };
}

function makeScreen() {
  const screen = document.createElement('div');
  screen.id = 'spice-screen';
  screen.tabIndex = 0;
  screen.setAttribute('role', 'application');
  screen.setAttribute('aria-label', 'Screen of the machine');
  screen.setAttribute('aria-describedby', 'leave-console');
  return screen;
}
