/**
 * Every path of the metadata service, through the same doors in the same order: who asks, how often, what is known of the
 * instance, its session token; then the answer. Answers and refusals are text, as Nova's (JSON where a client asks for it).
 */
import { All, Controller, Inject, Req, Res } from '@nestjs/common';
import { toServiceError } from '@gatehouse/errors/service-error';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { EC2_LISTING } from '@gatehouse/instance-metadata/ec2-tree';
import { TEXT, stepsOf } from '@gatehouse/instance-metadata/metadata-tree';
import type { Answer } from '@gatehouse/instance-metadata/metadata-tree';
import type { VendorData } from '@gatehouse/instance-metadata/vendor-data';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Asker, Identification } from './identification.ts';
import type { InstanceMetadata } from './instance-metadata.ts';
import type { MetadataReply, MetadataRequest } from './metadata-request.ts';
import { PASSWORD_BYTES_MAX, isPasswordPath, tooLarge } from './passwords.ts';
import type { Passwords } from './passwords.ts';
import type { RateLimit } from './rate-limit.ts';
import { findInTree, readTree } from './reading.ts';
import { notAllowed, refusalOf } from './refusal.ts';
import { discardRest, readBody } from './request-body.ts';
import { serveDocument } from './serve-document.ts';
import { isTokenPath } from './session-token-door.ts';
import type { SessionTokenDoor } from './session-token-door.ts';

export const DOORS = Symbol('doors');

/** What a request passes, in this order. */
export interface Doors {
  readonly identification: Identification;
  /** Of each instance. */
  readonly rates: RateLimit;
  readonly metadata: InstanceMetadata;
  readonly tokens: SessionTokenDoor;
  readonly passwords: Passwords;
  readonly vendorData: VendorData;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An answer with headers of its own; 200 unless it says otherwise. */
interface Served extends Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Reading {
  readonly request: MetadataRequest;
  readonly asker: Asker;
  readonly facts: InstanceFacts;
  readonly steps: readonly string[];
}

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD']);
const NOT_STORED = { 'cache-control': 'no-store' };

@Controller()
export class MetadataController {
  readonly #doors: Doors;

  constructor(@Inject(DOORS) doors: Doors) {
    this.#doors = doors;
  }

  @All('*')
  async serve(@Req() request: MetadataRequest, @Res() reply: MetadataReply): Promise<void> {
    try {
      const { status = 200, type, content, headers } = await this.#answer(request);
      discardRest(request.raw, this.#doors.clock);
      reply.status(status).headers({ ...headers, 'content-type': type }).send(status === 304 ? undefined : content);
    } catch (thrown) {
      const error = toServiceError(thrown);
      if (error.code === 'INTERNAL') this.#doors.log.error({ requestId: request.id, err: thrown }, 'metadata could not be given');
      const { status, headers, body } = refusalOf(error, request.headers.accept ?? '');
      discardRest(request.raw, this.#doors.clock);
      reply.status(status).headers(headers).send(body);
    }
  }

  async #answer(request: MetadataRequest): Promise<Served> {
    const steps = stepsOf(pathOf(request.url));
    const open = openAnswer(steps);
    if (open !== null) return openRead(request, open);
    const { identification, rates, metadata, tokens } = this.#doors;
    const asker = await identification.identify(request);
    rates.take(asker.instanceUuid.toLowerCase());
    const facts = await metadata.get(asker.instanceUuid, asker.projectId);
    if (isTokenPath(steps)) return tokens.issue(request, asker, facts);
    const headers = tokens.admit(request, facts);
    const answer = isPasswordPath(steps) ? await this.#password(request, facts, steps) : await this.#read({ request, asker, facts, steps });
    return { ...answer, headers: { ...headers, ...answer.headers } };
  }

  async #read({ request, asker, facts, steps }: Reading): Promise<Served> {
    if (READING.has(request.method)) {
      const wanted = { path: `/${steps.join('/')}`, read: (known: InstanceFacts) => readTree(known, steps, this.#doors, asker.address) };
      return serveDocument(this.#doors.metadata, request, facts, wanted);
    }
    findInTree(facts, steps);
    throw notAllowed('GET, HEAD');
  }

  async #password(request: MetadataRequest, facts: InstanceFacts, steps: readonly string[]): Promise<Served> {
    const { passwords, clock } = this.#doors;
    // It is not in every version.
    findInTree(facts, steps);
    if (READING.has(request.method)) return { type: TEXT, content: await passwords.read(facts.uuid), headers: NOT_STORED };
    if (request.method !== 'POST') throw notAllowed('GET, HEAD, POST');
    await passwords.post(facts.uuid, await readBody(request.raw, PASSWORD_BYTES_MAX, tooLarge, clock));
    return { type: TEXT, content: '' };
  }
}

/** What anybody may read: the names of EC2's versions, and that the service lives. */
function openAnswer(steps: readonly string[]): Answer | null {
  if (steps.length === 0) return { type: TEXT, content: EC2_LISTING.join('\n') };
  return steps.length === 1 && steps[0] === 'healthcheck' ? { type: TEXT, content: 'OK' } : null;
}

function openRead(request: MetadataRequest, answer: Answer): Answer {
  if (READING.has(request.method)) return answer;
  throw notAllowed('GET, HEAD');
}

/** Without its query; a proxy may name the host too (RFC 9112, 3.2.2). */
function pathOf(url: string): string {
  return (url.split('?', 1)[0] ?? '/').replace(/^https?:\/\/[^/]*/i, '');
}
