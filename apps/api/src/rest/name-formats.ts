/**
 * What Nova takes for a name, as JSON Schema formats. Printable means Unicode below U+FFFF without control,
 * format, private and unassigned characters and without line and paragraph separators, as in Nova.
 */
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]*$/u;
const OUTER_SPACE = /^\s|\s$/u;
const LETTERS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

export interface NameFormat {
  readonly check: (name: string) => boolean;
  /** The end of Nova's sentence "The name must be: ...". */
  readonly expected: string;
}

function onlyOf(marks: string): NameFormat {
  const allowed = new Set(marks + LETTERS);
  return {
    check: (name) => [...name].every((char) => allowed.has(char)),
    expected: `Only expected characters: [${marks}${LETTERS}]`,
  };
}

export const NAME_FORMATS: Readonly<Record<string, NameFormat>> = {
  name: {
    check: (name) => PRINTABLE.test(name) && !OUTER_SPACE.test(name) && [...name].every((char) => char.length === 1),
    expected: 'printable characters. Can not start or end with whitespace.',
  },
  'spaced-name': {
    check: (name) => PRINTABLE.test(name.trim()) && name.trim() !== '' && [...name].every((char) => char.length === 1),
    expected: 'printable characters with at least one non space character',
  },
  'key-pair-name-2.1': onlyOf('_- '),
  'key-pair-name-2.92': onlyOf('@._- '),
};
