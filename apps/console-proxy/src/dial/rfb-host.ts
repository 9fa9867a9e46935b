/**
 * Our side of the RFB handshake with a host (nova-console's security proxy): we prove who we are by one of our schemes, the
 * first of ours that the host offers, and hand out the stream at the point where a client would send its ClientInit.
 * What the browser speaks is another handshake (rfb-greeting.ts): so each side has its own version and security.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { readExactly } from './handshake-bytes.ts';
import { detailOf, hostRefusal, isClosed, WORDS } from './host-refusal.ts';
import type { HostTls } from './host-tls.ts';
import { NONE, REASON_BYTES_MAX, VENCRYPT, VERSION_BYTES, VERSION_LINE, VNC, namesOf, type RfbVersion } from './rfb-words.ts';
import { answerChallenge, CHALLENGE_BYTES, readVncPassword } from './vnc-password.ts';
import { throughVencrypt } from './vencrypt.ts';

export const VNC_SCHEMES = ['none', 'vencrypt', 'vnc'] as const;
export type VncScheme = (typeof VNC_SCHEMES)[number];

/** How this proxy proves itself to VNC servers. */
export interface VncSecurity {
  /** The first that the host offers is taken. */
  readonly schemes: readonly VncScheme[];
  readonly tls: HostTls | null;
  readonly passwordFile: string | null;
}

const TYPE_OF: Readonly<Record<VncScheme, number>> = { none: NONE, vencrypt: VENCRYPT, vnc: VNC };
const SCHEME_OF = new Map(Object.entries(TYPE_OF).map(([scheme, type]) => [type, scheme as VncScheme]));

/**
 * The host's stream, secured, before ClientInit. `names`: what the host's certificate may be for.
 *
 * @throws ServiceError UNAVAILABLE; its cause says at which point, and what the host said
 */
export async function enterVncHost(socket: Socket, security: VncSecurity, names: readonly string[]): Promise<Duplex> {
  const version = versionOf(await readExactly(socket, VERSION_BYTES, 'the RFB version'));
  socket.write(VERSION_LINE[version]);
  const offered = version === '3.3' ? await readDictatedType(socket) : await readTypes(socket);
  const scheme = security.schemes.find((each) => offered.includes(TYPE_OF[each]));
  if (scheme === undefined) {
    const wanted = security.schemes.map((each) => TYPE_OF[each]);
    throw hostRefusal(WORDS.security, `it offers ${namesOf(offered)}, and GATEHOUSE_VNC_AUTH_SCHEMES accepts ${namesOf(wanted)}`);
  }
  if (version !== '3.3') socket.write(Buffer.of(TYPE_OF[scheme]));
  if (scheme === 'vencrypt') return proveInTls(socket, version, security, names);
  if (scheme === 'vnc') await answerPassword(socket, security.passwordFile);
  // Before 3.8 a server that asks for nothing says nothing either.
  if (scheme === 'vnc' || version === '3.8') await readResult(socket, version);
  return socket;
}

/** How a version greets; RFC 6143 7.1.1: numbers between count as 3.3, and the highest that we know answers what is above it. */
function versionOf(line: Buffer): RfbVersion {
  const [, major, minor] = /^RFB (\d{3})\.(\d{3})\n$/.exec(line.toString('latin1')) ?? [];
  if (major === undefined) throw hostRefusal(WORDS.protocol, `it began with ${JSON.stringify(line.toString('latin1'))}, which is no RFB version`);
  const [high, low] = [Number(major), Number(minor)];
  if (high < 3 || (high === 3 && low < 3)) throw hostRefusal(WORDS.protocol, `it speaks RFB ${high}.${low}; this proxy speaks 3.3, 3.7 and 3.8`);
  if (high > 3 || low >= 8) return '3.8';
  return low === 7 ? '3.7' : '3.3';
}

async function readTypes(socket: Duplex): Promise<readonly number[]> {
  const [count] = await readExactly(socket, 1, 'the number of security types');
  if (count === 0) throw await refusedByHost(socket);
  return [...(await readExactly(socket, count!, 'the security types'))];
}

/** A 3.3 server does not offer, it decides. */
async function readDictatedType(socket: Duplex): Promise<readonly number[]> {
  const type = (await readExactly(socket, 4, 'the security type')).readUInt32BE();
  if (type === 0) throw await refusedByHost(socket);
  // VeNCrypt came with 3.7: here its number is a mistake.
  return [type].filter((each) => SCHEME_OF.get(each) !== 'vencrypt');
}

async function proveInTls(socket: Socket, version: RfbVersion, { tls, passwordFile }: VncSecurity, names: readonly string[]): Promise<Duplex> {
  if (tls === null) throw hostRefusal(WORDS.setup, 'VeNCrypt takes GATEHOUSE_DIAL_TLS_CA, which is not set');
  const { stream, asksPassword } = await throughVencrypt(socket, tls, names, passwordFile !== null);
  try {
    if (asksPassword) await answerPassword(stream, passwordFile);
    await readResult(stream, version);
  } catch (error) {
    // A host may judge our certificate only now, and not say so.
    throw isClosed(error) ? tls.refusedAfter(stream, detailOf(error)) : error;
  }
  return stream;
}

async function answerPassword(stream: Duplex, passwordFile: string | null): Promise<void> {
  const challenge = await readExactly(stream, CHALLENGE_BYTES, 'the challenge of the password check');
  if (passwordFile === null) throw hostRefusal(WORDS.setup, 'it asks for a password, and GATEHOUSE_VNC_PASSWORD_FILE is not set');
  stream.write(answerChallenge(await readVncPassword(passwordFile), challenge));
}

async function readResult(stream: Duplex, version: RfbVersion): Promise<void> {
  const result = (await readExactly(stream, 4, 'the result of the security check')).readUInt32BE();
  if (result === 0) return;
  if (version === '3.8') throw await refusedByHost(stream);
  throw hostRefusal(WORDS.stranger, `its security check failed (${result})`);
}

/** A host's reason is for people, and shown to them: plain letters of it, and not many. */
async function refusedByHost(stream: Duplex): Promise<Error> {
  const length = (await readExactly(stream, 4, "the length of the host's reason")).readUInt32BE();
  if (length > REASON_BYTES_MAX) return hostRefusal(WORDS.stranger, `it refused with a reason of ${length} bytes, which was not read`);
  const reason = (await readExactly(stream, length, "the host's reason")).toString('latin1').replaceAll(/[^\x20-\x7e]/g, '?').trim();
  if (reason === '') return hostRefusal(WORDS.stranger, 'it refused without a reason');
  return hostRefusal(`The console's host refused: ${reason.slice(0, 80)}`, `it refused: ${reason}`);
}
