/**
 * VNC's own password check (RFC 6143 7.2.2): the server's 16 random bytes come back encrypted by DES under the password. It protects
 * nothing but the password itself, and only the first eight bytes of that; a connection that matters is inside TLS.
 */
import { createCipheriv } from 'node:crypto';
import { open } from 'node:fs/promises';
import { hostRefusal, WORDS } from './host-refusal.ts';

export const CHALLENGE_BYTES = 16;
const KEY_BYTES = 8;
const FILE_BYTES_MAX = 1_024;

/** The password's bytes as they stand in the file, without the line break at its end. Read at each use, so a change counts at once. */
export async function readVncPassword(path: string): Promise<Buffer> {
  const content = await readStart(path).catch((error: unknown) => {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw hostRefusal(WORDS.setup, `GATEHOUSE_VNC_PASSWORD_FILE cannot be read (${reason})`);
  });
  const password = Buffer.from(content.toString('latin1').replace(/\r?\n$/, ''), 'latin1');
  if (password.length === 0) throw hostRefusal(WORDS.setup, 'GATEHOUSE_VNC_PASSWORD_FILE names an empty file');
  return password;
}

async function readStart(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(FILE_BYTES_MAX), 0, FILE_BYTES_MAX, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

export function answerChallenge(password: Buffer, challenge: Buffer): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  password.copy(key, 0, 0, KEY_BYTES);
  // VNC feeds DES each byte the wrong way round.
  for (let at = 0; at < KEY_BYTES; at += 1) key[at] = reversed(key[at]!);
  // OpenSSL 3 has put single DES away. Triple DES under three equal keys is the same thing: the second undoes the first.
  const cipher = createCipheriv('des-ede3-ecb', Buffer.concat([key, key, key]), null).setAutoPadding(false);
  return Buffer.concat([cipher.update(challenge), cipher.final()]);
}

function reversed(byte: number): number {
  let result = 0;
  for (let bit = 0; bit < 8; bit += 1) if ((byte & (1 << bit)) !== 0) result |= 0x80 >> bit;
  return result;
}
