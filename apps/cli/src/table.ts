/** Tables as Python's prettytable draws them, which is what Nova's operators and their scripts know. */

export type Align = 'centre' | 'left';

export function drawTable(columns: readonly string[], rows: readonly (readonly string[])[], align: Align = 'centre'): string {
  const cells = [columns, ...rows].map((row) => row.map(plain));
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => lengthOf(row[index] ?? ''))));
  const rule = `+${widths.map((width) => '-'.repeat(width + 2)).join('+')}+`;
  const [head = '', ...body] = cells.map((row) => `|${row.map((cell, index) => ` ${pad(cell, widths[index] ?? 0, align)} `).join('|')}|`);
  return [rule, head, rule, ...body, rule].join('\n');
}

/** prettytable's centre: of an odd number of blanks the greater half goes right of a text of odd length, left of an even one. */
function pad(text: string, width: number, align: Align): string {
  const blanks = width - lengthOf(text);
  if (align === 'left') return text + ' '.repeat(blanks);
  const left = blanks % 2 === 0 || lengthOf(text) % 2 === 1 ? Math.floor(blanks / 2) : Math.ceil(blanks / 2);
  return ' '.repeat(left) + text + ' '.repeat(blanks - left);
}

function lengthOf(text: string): number {
  return [...text].length;
}

/** What a user named something must not steer a terminal. */
function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
