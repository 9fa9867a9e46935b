/** JSON as Python's json.dumps writes it: a space after each comma and colon, and nothing but ASCII. */
export function pythonJson(value: unknown): string {
  // In JSON's indented form line ends stand between values alone: within strings they are escaped.
  return JSON.stringify(value, null, 1)
    .replace(/,\n\s*/g, ', ')
    .replace(/\n\s*/g, '')
    .replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
