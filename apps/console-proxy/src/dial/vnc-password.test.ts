import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answerChallenge, readVncPassword } from './vnc-password.ts';

describe('the VNC password check', () => {
  let folder: string;
  before(async () => (folder = await mkdtemp(join(tmpdir(), 'gatehouse-vnc-'))));
  after(() => rm(folder, { recursive: true }));

  const holding = async (content: string | Buffer): Promise<string> => {
    const path = join(folder, 'password');
    await writeFile(path, content);
    return path;
  };

  it('encrypts as DES does: the published example, its key the wrong way round as VNC has it', () => {
    // FIPS 81's example: key 0123456789abcdef, `Now is the time `.
    const key = Buffer.from('80c4a2e691d5b3f7', 'hex');
    assert.equal(answerChallenge(key, Buffer.from('Now is the time ')).toString('hex'), '3fa40e8a984d48156a271787ab8883f9');
  });

  it('pads a short password with zeros, and takes eight bytes of a long one', () => {
    const challenge = Buffer.alloc(16, 7);
    assert.deepEqual(answerChallenge(Buffer.from('abc'), challenge), answerChallenge(Buffer.from('abc\0\0\0\0\0'), challenge));
    assert.deepEqual(answerChallenge(Buffer.from('12345678and more'), challenge), answerChallenge(Buffer.from('12345678'), challenge));
  });

  it('reads the password without the line break at its end, byte for byte', async () => {
    assert.equal((await readVncPassword(await holding('se cret\r\n'))).toString(), 'se cret');
    assert.deepEqual(await readVncPassword(await holding(Buffer.from([0xe9, 0x80]))), Buffer.from([0xe9, 0x80]));
  });

  it('refuses a file that is not there, and an empty one, and names the setting in the log alone', async () => {
    const refused = (detail: RegExp) => (error: Error & { cause?: unknown }): boolean =>
      error.message === 'This console proxy is not set up for that console.' && error.cause instanceof Error && detail.test(error.cause.message);
    await assert.rejects(readVncPassword(join(folder, 'nowhere')), refused(/GATEHOUSE_VNC_PASSWORD_FILE cannot be read \(ENOENT\)/));
    await assert.rejects(readVncPassword(await holding('\n')), refused(/GATEHOUSE_VNC_PASSWORD_FILE names an empty file/));
  });
});
