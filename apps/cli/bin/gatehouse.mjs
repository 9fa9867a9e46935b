#!/usr/bin/env node
// `npx gatehouse` in a checkout: the command from its sources. Where there is none, node dist/cli/main.js is the same.
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { generate } from '../../../tools/generate.mjs';
import { failTool } from '../../../tools/steps/say.mjs';
import { register } from 'tsx/esm/api';

const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

async function run() {
  await generate();
  register({ tsconfig: join(ROOT, 'tsconfig.json') });
  await import(pathToFileURL(join(ROOT, 'apps/cli/src/main.ts')).href);
}

await run().catch(failTool);
