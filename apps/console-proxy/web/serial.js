/** The serial line of a machine: xterm on our channel. */
import { runConsolePage } from './console-page.js';
import { allowStyleElements } from './style-nonce.js';
import { fitTerminal } from './fit-terminal.js';
import { serialKeyboard, withModifiers } from './serial-keyboard.js';
import { Terminal } from '../xterm/lib/xterm.mjs';

allowStyleElements();
const encoder = new TextEncoder();

runConsolePage({
  kind: 'Serial console',
  consoleType: 'serial',
  input: 'Type',
  keyboard: serialKeyboard,
  // 80 columns on a phone are too small to be read.
  fit: innerWidth >= 560,
  show(channel, element, { viewOnly, modifiers }) {
    const terminal = new Terminal({
      cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
      disableStdin: viewOnly,
      fontFamily: 'ui-monospace, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
      scrollback: 5000,
      // The background is that of the stage in style.css.
      theme: { background: '#0d0f12', foreground: '#e6e8ec' },
    });
    // Also what a terminal answers by itself.
    const send = (bytes) => viewOnly || channel.send(bytes);
    terminal.open(element);
    terminal.textarea.setAttribute('aria-describedby', 'leave-console');
    terminal.onData((text) => send(encoder.encode(withModifiers(text, modifiers))));
    // Mouse reports of old encodings are bytes, not text.
    terminal.onBinary((bytes) => send(Uint8Array.from(bytes, (each) => each.charCodeAt(0))));
    channel.onmessage = ({ data }) => terminal.write(new Uint8Array(data));

    let fit = true;
    const refit = () => fitTerminal(terminal, element, fit);
    const watcher = new ResizeObserver(refit);
    watcher.observe(element);
    return {
      focus: () => terminal.focus(),
      setFit(on) {
        fit = on;
        refit();
      },
      sendText: (text) => send(encoder.encode(text)),
      close() {
        watcher.disconnect();
        terminal.options.disableStdin = true;
        terminal.options.cursorBlink = false;
      },
    };
  },
});
