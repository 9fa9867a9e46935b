/**
 * Every path of the metadata service, through the same doors in the same order: who asks, how often, what is known of the
 * instance, its session token; then the answer. Answers and refusals are text, as Nova's (JSON where a client asks for it).
 */
import { All, Controller, Inject, Req, Res } from '@nestjs/common';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { Logger } from '@gatehouse/runtime/logger';
import { EC2_LISTING } from '@gatehouse/instance-metadata/ec2-tree';
import { TEXT, stepsOf } from '@gatehouse/instance-metadata/metadata-tree';
import type { Answer } from '@gatehouse/instance-metadata/metadata-tree';
import type { Identification } from './identification.ts';
import type { InstanceMetadata } from './instance-metadata.ts';
import type { MetadataReply, MetadataRequest } from './metadata-request.ts';
import { readTree } from './reading.ts';
import { refusalOf } from './refusal.ts';

export const DOORS = Symbol('doors');

/** What a request passes, in this order. */
export interface Doors {
  readonly identification: Identification;
  readonly metadata: InstanceMetadata;
  readonly log: Logger;
}

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD']);

@Controller()
export class MetadataController {
  readonly #doors: Doors;

  constructor(@Inject(DOORS) doors: Doors) {
    this.#doors = doors;
  }

  @All('*')
  async serve(@Req() request: MetadataRequest, @Res() reply: MetadataReply): Promise<void> {
    try {
      const { type, content } = await this.#answer(request);
      reply.status(200).headers({ 'content-type': type }).send(content);
    } catch (thrown) {
      const error = toServiceError(thrown);
      if (error.code === 'INTERNAL') this.#doors.log.error({ requestId: request.id, err: thrown }, 'metadata could not be given');
      const { status, headers, body } = refusalOf(error, request.headers.accept ?? '');
      reply.status(status).headers(headers).send(body);
    }
  }

  async #answer(request: MetadataRequest): Promise<Answer> {
    const steps = stepsOf(request.url.split('?', 1)[0] ?? '/');
    if (steps.length === 0) return { type: TEXT, content: EC2_LISTING.join('\n') };
    if (steps.length === 1 && steps[0] === 'healthcheck') return { type: TEXT, content: 'OK' };
    const asker = await this.#doors.identification.identify(request);
    const facts = await this.#doors.metadata.get(asker.instanceUuid, asker.projectId);
    const answer = await readTree(facts, steps);
    if (!READING.has(request.method)) throw notReading();
    return answer;
  }
}

/** Nova answers every method as if it were GET. */
function notReading(): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', 'The method is not allowed for this resource: GET and HEAD are.', { details: { status: 405 } });
}
