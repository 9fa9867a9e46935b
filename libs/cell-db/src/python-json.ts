/** JSON as Python's json.dumps writes it: a space after each comma and colon, and nothing but ASCII. */

/** Texts of which each character stands for itself; most of them. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** Of null, booleans, numbers, texts, and arrays and objects of them. */
export function pythonJson(value: unknown): string {
  if (typeof value === 'string') return textOf(value);
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, each]) => `${textOf(name)}: ${pythonJson(each)}`).join(', ')}}`;
}

function textOf(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
