import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { searchEvidence, SecretSearch } from './secret-search.mjs';

const PRELOAD = fileURLToPath(new URL('note-secrets.cjs', import.meta.url));

/** Not noted in the run that this test is part of: one that was planted here is no leak there. */
const secretBytes = () => Buffer.concat([randomBytes(16), randomBytes(16)]);

describe('the search for secrets after a run', () => {
  let folder: string;

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'gatehouse-evidence-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  const bytes = secretBytes();
  const token = bytes.toString('base64url');
  const planted: Readonly<Record<string, string>> = {
    'a link in a log': `{"level":"info","url":"https://proxy/vnc#token=${token}"}`,
    'a subprotocol': `binary, token.${token}`,
    'a value between others without a gap': `aaaa${token}bbbb`,
    'its bytes in hexadecimal': `\\\\x${bytes.toString('hex')}\t`,
    'its letters in hexadecimal': `\\\\x${Buffer.from(token).toString('hex')}`,
    'the other alphabet of base64': bytes.toString('base64'),
    'percent-encoding of some of it': `?token=${token.replaceAll(/[-_a-f]/g, (each) => `%${each.charCodeAt(0).toString(16)}`)}`,
    'percent-encoding of all of it': token.replaceAll(/./g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`),
    'base64 of a text that holds it': Buffer.from(`user:${token}`).toString('base64'),
    'base64 of another text that holds it': Buffer.from(`{"token":"${token}"}`).toString('base64url'),
  };

  for (const [what, text] of Object.entries(planted)) {
    it(`finds ${what}`, () => {
      const search = new SecretSearch([secretBytes().toString('hex'), bytes.toString('hex')]);
      search.look('a.log', `before\n${text}\nafter`);
      assert.ok(search.finds.length >= 1);
      assert.match(search.finds[0] ?? '', /^a\.log, .*<a secret>/);
      assert.ok(!search.finds.join().includes(token), 'what it says holds the secret');
    });
  }

  it('finds one across the border of two pieces of a large file', () => {
    writeFileSync(join(folder, 'secrets-1.hex'), `${bytes.toString('hex')}\n`);
    writeFileSync(join(folder, 'log-large.txt'), `${'. '.repeat(2 * 1024 * 1024 - 10)}${token}`);
    assert.equal(searchEvidence(folder).finds.length, 1);
  });

  it('takes a hash for what it is, and counts it', () => {
    writeFileSync(join(folder, 'secrets-1.hex'), `${bytes.toString('hex')}\n${secretBytes().toString('hex')}\n`);
    writeFileSync(join(folder, 'database-cell.sql'), `7\t${createHash('sha256').update(token).digest('hex')}\n`);
    writeFileSync(join(folder, 'log-consoleauth.txt'), '{"msg":"a token was issued"}\n');
    const { secrets, hashesSeen, files, finds } = searchEvidence(folder);
    assert.deepEqual({ secrets, hashesSeen, files, finds }, { secrets: 2, hashesSeen: 1, files: { database: 1, log: 1 }, finds: [] });
  });

  it('knows of every secret that a process makes, whichever way it imports what makes it', () => {
    const make = "import { randomBytes } from 'node:crypto'; import crypto from 'node:crypto'; console.log(randomBytes(32).toString('hex')); console.log(crypto.randomBytes(32).toString('hex')); randomBytes(16);";
    const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', make], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: `--require="${PRELOAD}"`, GATEHOUSE_TEST_EVIDENCE: folder },
    });
    writeFileSync(join(folder, 'log-process.txt'), printed);
    assert.deepEqual(readdirSync(folder).length, 2);
    const { secrets, finds } = searchEvidence(folder);
    assert.deepEqual([secrets, finds.length], [2, 2]);
  });
});
