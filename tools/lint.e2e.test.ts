import assert from 'node:assert/strict';
import type { ESLint } from 'eslint';
import { createLint } from './lint.mjs';

// One row a wall: where the text is planted, the text, and the rule that must see it.
const VIOLATIONS: readonly (readonly [file: string, text: string, rule: string])[] = [
  ['libs/errors/src/planted.ts', "import { defineObject } from '@gatehouse/objects/define-object';", '@nx/enforce-module-boundaries'],
  ['libs/console-stream/src/planted.ts', "import { string } from '@gatehouse/objects/fields';", '@nx/enforce-module-boundaries'],
  ['libs/rpc/src/planted.ts', "import { string } from '../../objects/src/fields.ts';", '@nx/enforce-module-boundaries'],
  ['apps/console-proxy/src/planted.ts', "import { openCellDb } from '@gatehouse/cell-db/cell-db';", '@nx/enforce-module-boundaries'],
  ['apps/metadata/src/planted.ts', "import { openApiDb } from '@gatehouse/api-db/api-db';", '@nx/enforce-module-boundaries'],
  ['apps/api/src/planted.ts', "import { startConsoleAuth } from '@gatehouse/consoleauth/app.module';", '@nx/enforce-module-boundaries'],
  ['apps/api/src/planted.ts', "import amqp from 'amqplib';", 'no-restricted-imports'],
  ['apps/consoleauth/src/planted.ts', "import { PrismaPg } from '@prisma/adapter-pg';", 'no-restricted-imports'],
  ['apps/consoleauth/src/planted.ts', "import { PrismaClient } from '@prisma/client/runtime/client';", 'no-restricted-imports'],
  ['libs/rpc/src/planted.ts', "import { Module } from '@nestjs/common';", 'no-restricted-imports'],
  ['apps/compute-agent/src/planted.ts', "import { Server } from '@grpc/grpc-js';", 'no-restricted-imports'],
  ['apps/api/src/planted.ts', "import { freePort } from '../../../test/servers/free-port.ts';", 'no-restricted-imports'],
  ['apps/api/src/planted.ts', "export const url = process.env['URL'];", 'no-restricted-syntax'],
  ['apps/api/src/planted.ts', 'export enum Colour { Red }', 'no-restricted-syntax'],
  ['apps/api/src/planted.ts', 'export default 1;', 'no-restricted-syntax'],
  ['apps/api/src/planted.ts', "export * from './config.ts';", 'no-restricted-syntax'],
  ['apps/api/src/planted.ts', 'export class A extends Map {}', 'no-restricted-syntax'],
  ['apps/api/src/planted.ts', 'export const x: any = 1;', '@typescript-eslint/no-explicit-any'],
  ['apps/api/src/planted.ts', '\n'.repeat(401), 'max-lines'],
];

const ALLOWED: readonly (readonly [file: string, text: string])[] = [
  ['apps/standalone/src/planted.ts', "import { startConsoleAuth } from '@gatehouse/consoleauth/app.module';\nstartConsoleAuth();"],
  ['libs/cell-db/src/planted.ts', "import { string } from '@gatehouse/objects/fields';\nstring();"],
  ['libs/rpc/src/planted.ts', "import amqp from 'amqplib';\namqp.connect('');"],
  ['apps/api/src/main.ts', "export const url = process.env['URL'];"],
  ['apps/api/src/planted.broker.test.ts', "import { freePort } from '../../../test/servers/free-port.ts';\nfreePort();"],
  ['libs/errors/src/planted.ts', 'export class OwnError extends Error {}'],
];

describe('the lint', function () {
  // The first look of all makes the graph of the rooms.
  this.timeout(180_000);
  let eslint: ESLint;

  before(async () => {
    eslint = await createLint({ typed: false });
  });

  for (const [file, text, rule] of VIOLATIONS) {
    it(`refuses in ${file}: ${text.trim().slice(0, 80) || '401 lines'}`, async () => {
      assert.ok((await rulesBroken(file, text)).includes(rule), `${rule} did not see it`);
    });
  }

  for (const [file, text] of ALLOWED) {
    it(`accepts in ${file}: ${text.split('\n')[0]}`, async () => {
      assert.deepEqual(await rulesBroken(file, text), []);
    });
  }

  async function rulesBroken(filePath: string, text: string): Promise<(string | null)[]> {
    const [result] = await eslint.lintText(`${text}\n`, { filePath });
    return result?.messages.map((message) => message.ruleId ?? message.message) ?? [];
  }
});
