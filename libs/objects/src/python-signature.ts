/**
 * A Python method's signature, read from one line as Python writes it, and printed as oslo's fingerprint takes
 * it: `get_by_name(cls, context, user_id, name, localonly=False)` becomes
 * `ArgSpec(args=['cls', 'context', 'user_id', 'name', 'localonly'], varargs=None, keywords=None, defaults=(False,))`.
 * With an argument that is keyword-only or annotated it is Python's FullArgSpec, as in oslo's get_method_spec.
 *
 * Defaults and annotations stand in the line as Python's repr() prints them, and are taken over as text; an
 * annotation that is the bare name of a built-in type (`str`) is printed as that class.
 */
import { pythonRepr } from './python-repr.ts';
import { refuse } from './refusal.ts';

export interface PythonSignature {
  readonly name: string;
  readonly spec: string;
}

const SIGNATURE = /^(\w+)\((.*)\)(?:\s*->\s*(.+))?$/s;
const PARAMETER = /^(\*{0,2})([\p{L}_][\p{L}\p{N}_]*)(?:\s*:\s*(.+))?$/su;
const BUILT_IN = new Set(['bool', 'bytes', 'complex', 'dict', 'float', 'frozenset', 'int', 'list', 'object', 'set', 'str', 'tuple', 'type']);

interface Parameter {
  readonly name: string;
  readonly fallback: string | undefined;
}

interface Parameters {
  readonly args: Parameter[];
  readonly keywordOnly: Parameter[];
  readonly annotations: [name: string, text: string][];
  varargs: string | null;
  keywords: string | null;
}

/** @throws ServiceError INVALID_ARGUMENT: no signature */
export function pythonSignature(line: string): PythonSignature {
  const [, name, inner = '', returns] = SIGNATURE.exec(line.trim()) ?? [];
  if (name === undefined) refuse(line, 'expected a signature like get(self, name, limit=None)');
  const found: Parameters = { args: [], keywordOnly: [], annotations: returns === undefined ? [] : [['return', annotation(returns)]], varargs: null, keywords: null };
  let starred = false;
  for (const text of splitPython(inner)) {
    if (text === '/') continue;
    if (text !== '*') addParameter(found, text, starred, line);
    starred ||= text.startsWith('*') && !text.startsWith('**');
  }
  return { name, spec: print(found) };
}

function addParameter(found: Parameters, text: string, starred: boolean, line: string): void {
  const [before = '', ...after] = splitPython(text, '=');
  const [, stars, name, annotated] = PARAMETER.exec(before) ?? [];
  if (name === undefined) refuse(line, `${JSON.stringify(text.slice(0, 40))} is no parameter`);
  if (annotated !== undefined) found.annotations.push([name, annotation(annotated)]);
  if (stars === '**') found.keywords = name;
  else if (stars === '*') found.varargs = name;
  else (starred ? found.keywordOnly : found.args).push({ name, fallback: after.length > 0 ? after.join('=') : undefined });
}

function annotation(text: string): string {
  return BUILT_IN.has(text) ? `<class '${text}'>` : text;
}

function print({ args, keywordOnly, annotations, varargs, keywords }: Parameters): string {
  const names = (parameters: readonly Parameter[]): string => pythonRepr(parameters.map(({ name }) => name));
  const given = (parameters: readonly Parameter[]): [string, string][] => parameters.flatMap(({ name, fallback }) => (fallback === undefined ? [] : [[name, fallback]]));
  const dict = (entries: readonly (readonly [string, string])[]): string => `{${entries.map(([name, text]) => `${pythonRepr(name)}: ${text}`).join(', ')}}`;

  const texts = given(args).map(([, text]) => text);
  const defaults = texts.length === 0 ? 'None' : texts.length === 1 ? `(${texts[0]},)` : `(${texts.join(', ')})`;
  const common = `args=${names(args)}, varargs=${pythonRepr(varargs)}`;
  if (keywordOnly.length === 0 && annotations.length === 0) {
    return `ArgSpec(${common}, keywords=${pythonRepr(keywords)}, defaults=${defaults})`;
  }
  const keywordDefaults = given(keywordOnly);
  return (
    `FullArgSpec(${common}, varkw=${pythonRepr(keywords)}, defaults=${defaults}, kwonlyargs=${names(keywordOnly)}, ` +
    `kwonlydefaults=${keywordDefaults.length === 0 ? 'None' : dict(keywordDefaults)}, annotations=${dict(annotations)})`
  );
}

/** Splits Python text at a separator, but not inside brackets or quotes; the parts are trimmed. */
export function splitPython(text: string, separator = ','): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let quote = '';
  let start = 0;
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i] ?? '';
    if (quote !== '') {
      if (character === '\\') i += 1;
      else if (character === quote) quote = '';
    } else if (character === "'" || character === '"') quote = character;
    else if ('([{'.includes(character)) depth += 1;
    else if (')]}'.includes(character)) depth -= 1;
    else if (character === separator && depth === 0) {
      parts.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  const last = text.slice(start).trim();
  return last === '' ? parts : [...parts, last];
}
