/**
 * VeNCrypt 0.2 (RFB security type 19) as its client: TLS with X.509, then nothing (X509None) or VNC's password check inside
 * it (X509Vnc). Its kinds without certificates prove nothing about the host and are never taken.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { readExactly } from './handshake-bytes.ts';
import { hostRefusal, WORDS } from './host-refusal.ts';
import type { HostTls } from './host-tls.ts';
import { namesOf } from './rfb-words.ts';

const X509_NONE = 260;
const X509_VNC = 261;

/** What is TLS from here on; `asksPassword`: the password check comes next. @throws ServiceError UNAVAILABLE */
export async function throughVencrypt(
  socket: Socket,
  tls: HostTls,
  names: readonly string[],
  hasPassword: boolean,
): Promise<{ readonly stream: TLSSocket; readonly asksPassword: boolean }> {
  const [major, minor] = await readExactly(socket, 2, 'the VeNCrypt version');
  if (major !== 0 || minor !== 2) throw hostRefusal(WORDS.security, `it speaks VeNCrypt ${major}.${minor}; this proxy speaks 0.2`);
  socket.write(Buffer.of(0, 2));
  const [refused] = await readExactly(socket, 1, 'the word on the VeNCrypt version');
  if (refused !== 0) throw hostRefusal(WORDS.security, 'it offered VeNCrypt 0.2 and could not speak it');
  const kinds = await readKinds(socket);
  const kind = [X509_NONE, ...(hasPassword ? [X509_VNC] : [])].find((each) => kinds.includes(each));
  if (kind === undefined) {
    throw hostRefusal(WORDS.security, `it offers ${namesOf(kinds)} within VeNCrypt; accepted is ${namesOf([X509_NONE])}, and with GATEHOUSE_VNC_PASSWORD_FILE ${namesOf([X509_VNC])}`);
  }
  const chosen = Buffer.alloc(4);
  chosen.writeUInt32BE(kind);
  socket.write(chosen);
  const [accepted] = await readExactly(socket, 1, 'the word on the kind of VeNCrypt');
  if (accepted !== 1) throw hostRefusal(WORDS.security, `it offered ${namesOf([kind])} and did not accept it`);
  const stream = await tls.secure(socket, names);
  return { stream, asksPassword: kind === X509_VNC };
}

async function readKinds(socket: Duplex): Promise<readonly number[]> {
  const [count] = await readExactly(socket, 1, 'the number of kinds of VeNCrypt');
  const bytes = await readExactly(socket, 4 * count!, 'the kinds of VeNCrypt');
  return Array.from({ length: count! }, (_, at) => bytes.readUInt32BE(4 * at));
}
