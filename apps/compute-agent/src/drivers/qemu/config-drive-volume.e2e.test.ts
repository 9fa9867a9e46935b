import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ServiceError } from '@gatehouse/errors/service-error';
import type { DriveFiles } from '../driver.ts';
import { VOLUME_BYTES_MAX, findVolumeProgram, makeVolume } from './config-drive-volume.ts';

const LABEL_AT = 16 * 2_048 + 40;
const FILES: DriveFiles = new Map([
  ['openstack/2018-08-27/meta_data.json', Buffer.from('{"uuid":"é"}')],
  ['openstack/latest/user_data', Buffer.from([0, 255, 10, 13, 0])],
  ['openstack/latest/meta_data.json', Buffer.from('{}')],
  ['openstack/content/0000', Buffer.alloc(0)],
  ['ec2/latest/meta-data.json', Buffer.from('[]')],
]);

describe("a config drive's volume", () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'gh-volume-'));
  const volume = path.join(folder, 'config-2.iso');
  after(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(() => rmSync(volume, { force: true }));

  function program(name: string, script: string): string {
    const file = path.join(folder, name);
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
    return file;
  }

  it('is refused in words where this host has no program for it', async () => {
    await assert.rejects(makeVolume(null, FILES, volume), refusal('FAILED_PRECONDITION', /Debian's package genisoimage \(or xorriso\)/));
    assert.equal(await findVolumeProgram('no-such-program'), null);
    await assert.rejects(makeVolume('/nowhere/genisoimage', FILES, volume), refusal('FAILED_PRECONDITION', /\/nowhere\/genisoimage is not installed/));
  });

  it('is refused with the words of a program that fails, and leaves nothing', async () => {
    await assert.rejects(makeVolume(program('full', 'echo half; echo No space left >&2; exit 5'), FILES, volume), refusal('FAILED_PRECONDITION', /could not be made: No space left/));
    await assert.rejects(makeVolume(program('silent', 'exit 3'), FILES, volume), refusal('FAILED_PRECONDITION', /ended with 3/));
    assert.deepEqual(readdirSync(folder).filter((name) => name.startsWith('config-2')), []);
  });

  it('is refused beyond its size, and with a name that leads elsewhere', async () => {
    const genisoimage = await findVolumeProgram(null);
    await assert.rejects(makeVolume(genisoimage, new Map([['a', Buffer.alloc(VOLUME_BYTES_MAX + 1)]]), volume), refusal('FAILED_PRECONDITION', /67108865 bytes in all; it takes/));
    await assert.rejects(makeVolume(genisoimage, new Map(Array.from({ length: 10_001 }, (_, index) => [`f${index}`, Buffer.alloc(0)])), volume), refusal('FAILED_PRECONDITION', /10001 files/));
    for (const name of ['../x', '/etc/passwd', 'a/../../b', '', 'a//b', '-rf', 'a b', 'a\0']) {
      await assert.rejects(makeVolume(genisoimage, new Map([[name, Buffer.alloc(0)]]), volume), refusal('INTERNAL', /name/), name);
    }
    assert.equal(existsSync(volume), false);
  });

  it('is labelled config-2, readable by this user alone, and holds every file byte for byte', async () => {
    const program = await findVolumeProgram(null);
    assert.ok(program !== null && path.isAbsolute(program), 'genisoimage is not installed');
    await makeVolume(program, FILES, volume);
    assert.equal(statSync(volume).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder).filter((name) => name.startsWith('config-2')), ['config-2.iso']);
    const label = execFileSync('/usr/bin/isoinfo', ['-d', '-i', volume]).toString();
    assert.match(label, /^Volume id: config-2\s*$/m);
    assert.match(label, /^Joliet with UCS level 3 found/m);
    assert.match(label, /^Rock Ridge signatures/m);
    for (const names of ['-R', '-J']) {
      const listed = execFileSync('/usr/bin/isoinfo', [names, '-f', '-i', volume]).toString().trim().split('\n');
      for (const [name, content] of FILES) {
        assert.ok(listed.includes(`/${name}`), `${names} ${name}`);
        if (content.length > 0) assert.deepEqual(execFileSync('/usr/bin/isoinfo', [names, '-i', volume, '-x', `/${name}`]), content, `${names} ${name}`);
      }
    }
  });

  it('replaces the one before it', async () => {
    writeFileSync(volume, 'old', { mode: 0o644 });
    await makeVolume(await findVolumeProgram(null), FILES, volume);
    assert.equal(statSync(volume).mode & 0o777, 0o600);
    const image = execFileSync('/usr/bin/head', ['-c', String(LABEL_AT + 8), volume]);
    assert.equal(image.subarray(LABEL_AT).toString(), 'config-2');
  });
});

function refusal(code: string, words: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof ServiceError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  };
}
