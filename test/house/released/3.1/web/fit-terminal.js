/**
 * A serial line does not know the size of its terminal; programs behind it believe in 80 columns and 24 rows. So there are never
 * fewer, and more where there is room. Fitting makes the letters smaller or larger until 80 by 24 just fit.
 */
const COLUMNS_MIN = 80;
const ROWS_MIN = 24;
const FONT_PX = 15;
const FONT_PX_MIN = 5;
const FONT_PX_MAX = 18;

export function fitTerminal(terminal, element, fit) {
  const style = getComputedStyle(element);
  const width = element.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const height = element.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
  if (width <= 0 || height <= 0) return;
  terminal.options.fontSize = FONT_PX;
  if (fit) {
    const cell = cellOf(terminal);
    const scale = Math.min(width / (cell.width * COLUMNS_MIN), height / (cell.height * ROWS_MIN));
    terminal.options.fontSize = Math.max(FONT_PX_MIN, Math.min(FONT_PX_MAX, Math.floor(FONT_PX * scale * 2) / 2));
  }
  const cell = cellOf(terminal);
  terminal.resize(Math.max(COLUMNS_MIN, Math.floor(width / cell.width)), Math.max(ROWS_MIN, Math.floor(height / cell.height)));
}

/** The size of one letter, from what is drawn. */
function cellOf(terminal) {
  const { width, height } = terminal.element.querySelector('.xterm-screen').getBoundingClientRect();
  return { width: width / terminal.cols, height: height / terminal.rows };
}
