/**
 * Every path of the metadata service. Who asks is settled first, by the proxy's signed headers; what they may read
 * is the tree of their instance. Answers and refusals are text, as Nova's (JSON where a client asks for it).
 */
import { All, Controller, Inject, Req, Res } from '@nestjs/common';
import { ServiceError, toServiceError } from '@gatehouse/errors/service-error';
import type { Logger } from '@gatehouse/runtime/logger';
import type { InstanceFacts } from '@gatehouse/cell-db/instance-facts-store';
import { EC2_LISTING, ec2Tree } from '@gatehouse/instance-metadata/ec2-tree';
import { TEXT, stepsOf, walk } from '@gatehouse/instance-metadata/metadata-tree';
import type { Answer } from '@gatehouse/instance-metadata/metadata-tree';
import { openstackTree } from '@gatehouse/instance-metadata/openstack-tree';
import { InstanceMetadata } from './instance-metadata.ts';
import { refusalOf } from './refusal.ts';
import type { SignatureCheck } from './signature.ts';

export const SIGNATURE_CHECK = Symbol('signature check');
export const LOG = Symbol('log');

/** The parts of Fastify's request and reply that are used here. */
export interface MetadataRequest {
  readonly id: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly raw: { readonly headersDistinct: Readonly<Record<string, readonly string[] | undefined>> };
}

export interface MetadataReply {
  status(code: number): MetadataReply;
  headers(values: Readonly<Record<string, string>>): MetadataReply;
  send(content: string | Buffer): unknown;
}

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD']);

@Controller()
export class MetadataController {
  readonly #metadata: InstanceMetadata;
  readonly #check: SignatureCheck;
  readonly #log: Logger;

  constructor(@Inject(InstanceMetadata) metadata: InstanceMetadata, @Inject(SIGNATURE_CHECK) check: SignatureCheck, @Inject(LOG) log: Logger) {
    this.#metadata = metadata;
    this.#check = check;
    this.#log = log;
  }

  @All('*')
  async serve(@Req() request: MetadataRequest, @Res() reply: MetadataReply): Promise<void> {
    try {
      const { type, content } = await this.#answer(request);
      reply.status(200).headers({ 'content-type': type }).send(content);
    } catch (thrown) {
      const error = toServiceError(thrown);
      if (error.code === 'INTERNAL') this.#log.error({ requestId: request.id, err: thrown }, 'metadata could not be given');
      const { status, headers, body } = refusalOf(error, header(request, 'accept') ?? '');
      reply.status(status).headers(headers).send(body);
    }
  }

  async #answer(request: MetadataRequest): Promise<Answer> {
    const steps = stepsOf(request.url.split('?', 1)[0] ?? '/');
    if (steps.length === 0) return { type: TEXT, content: EC2_LISTING.join('\n') };
    if (steps.length === 1 && steps[0] === 'healthcheck') return { type: TEXT, content: 'OK' };
    const facts = await this.#identify(request);
    const answer = readTree(facts, steps);
    if (!READING.has(request.method)) throw notReading();
    return answer;
  }

  async #identify(request: MetadataRequest): Promise<InstanceFacts> {
    const instanceId = single(request, 'X-Instance-ID');
    const signature = single(request, 'X-Instance-ID-Signature');
    const projectId = single(request, 'X-Tenant-ID');
    this.#check(instanceId, signature);
    return this.#metadata.get(instanceId, projectId);
  }
}

function readTree(facts: InstanceFacts, steps: readonly string[]): Answer {
  const [first, ...rest] = steps;
  if (first === 'openstack') return walk(openstackTree(facts), rest);
  return walk(ec2Tree(facts), first === 'ec2' ? rest : steps);
}

function header(request: MetadataRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function single(request: MetadataRequest, name: string): string {
  const values = request.raw.headersDistinct[name.toLowerCase()] ?? [];
  const [value, ...others] = values;
  if (value === undefined) throw new ServiceError('INVALID_ARGUMENT', `${name} header is missing from request.`);
  if (others.length > 0) throw new ServiceError('INVALID_ARGUMENT', `Multiple ${name} headers found within request.`);
  return value;
}

/** Nova answers every method as if it were GET. */
function notReading(): ServiceError {
  return new ServiceError('INVALID_ARGUMENT', 'The method is not allowed for this resource: GET and HEAD are.', { details: { status: 405 } });
}
