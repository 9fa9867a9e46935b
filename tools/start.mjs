// `npm start`: everything in one process, from a fresh clone. Installs and generates what is missing, then
// becomes apps/standalone: same process, so signals and the exit code are the app's own.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { installLockedDependencies } from './steps/locked-dependencies.mjs';
import { checkNodeVersion } from './steps/node-version.mjs';
import { StepError, failTool } from './steps/say.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MAIN = join(ROOT, 'apps/standalone/src/main.ts');

async function start() {
  checkNodeVersion(ROOT);
  process.chdir(ROOT);
  await installLockedDependencies(ROOT);
  const { generate } = await import('./generate.mjs');
  await generate();
  if (!existsSync(MAIN)) throw new StepError(`${MAIN} is missing: is this a whole checkout?`);
  const { register } = await import('tsx/esm/api');
  register({ tsconfig: join(ROOT, 'tsconfig.json') });
  await import(pathToFileURL(MAIN).href);
}

await start().catch(failTool);
