// `npm run lint`: ESLint over the repository with the boundary table of eslint.config.mjs.
//
//   node tools/lint.mjs [--fix] [path ...]
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { failTool, say } from './steps/say.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Makes an ESLint whose boundary rule sees the project graph of now; without a graph it would be silent.
 *
 * @param {{ fix?: boolean, typed?: boolean }} [options] typed false: without the rules that need the
 *   TypeScript program, so that text of no real file can be linted
 */
export async function createLint({ fix = false, typed = true } = {}) {
  process.chdir(ROOT);
  process.env['NX_DAEMON'] = 'false';
  process.env['NX_NO_CLOUD'] = 'true';
  const { createProjectGraphAsync } = await import('@nx/devkit');
  await createProjectGraphAsync({ exitOnError: false, resetDaemonClient: false });
  const { ESLint } = await import('eslint');
  return new ESLint({ cwd: ROOT, fix, overrideConfig: typed ? [] : [await untyped()] });
}

async function untyped() {
  const { default: tseslint } = await import('typescript-eslint');
  return { files: ['**/*.ts'], ...tseslint.configs.disableTypeChecked };
}

async function lint() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { fix: { type: 'boolean', default: false } } });
  const eslint = await createLint(values);
  const results = await eslint.lintFiles(positionals.length > 0 ? positionals : ['.']);
  if (values.fix) {
    const { ESLint } = await import('eslint');
    await ESLint.outputFixes(results);
  }
  const formatter = await eslint.loadFormatter('stylish');
  const text = await formatter.format(results);
  if (text) process.stdout.write(text);
  const errors = results.reduce((sum, result) => sum + result.errorCount + result.warningCount, 0);
  if (errors === 0) say(`lint: ${results.length} files, nothing to say`);
  process.exit(errors === 0 ? 0 : 1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await lint().catch(failTool);
