/**
 * Nova's own answers to the same requests, one after the other: the same status, type and body (of JSON the same value, its keys in the same
 * order), but where ours is another on purpose. Those stand here, in one place, with what is answered instead and why; docs/nova-metadata.md
 * tells them in words.
 */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { openCellDb } from '@gatehouse/cell-db/cell-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { createMemoryTransport } from '@gatehouse/rpc/memory-transport';
import type { App } from '@gatehouse/runtime/app';
import { systemClock } from '@gatehouse/runtime/clock';
import { silentLogger } from '@gatehouse/runtime/logger';
import { createMetrics } from '@gatehouse/runtime/metrics';
import { startPostgresql } from '../../../test/servers/postgresql.ts';
import type { Postgresql } from '../../../test/servers/postgresql.ts';
import { startMetadata } from './app.module.ts';
import { metadataConfig } from './config.ts';
import { sign } from './signature.ts';
import { addRecordedInstances, readRecordings } from './test-recordings.ts';
import type { Recording } from './test-recordings.ts';

const SECRET = 'first-secret';

interface Heard {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

interface Difference {
  readonly why: string;
  readonly of: (recording: Recording) => boolean;
  /** What is answered here instead. */
  readonly ours: (nova: Heard) => Partial<Heard>;
}

const path = (pattern: RegExp) => ({ request }: Recording) => pattern.test(request.path);
const named = (...names: readonly string[]) => ({ name }: Recording) => names.includes(name);
const json = (body: string, change: (value: Record<string, unknown>) => Record<string, unknown>): string => JSON.stringify(change(JSON.parse(body) as Record<string, unknown>));
const refused = (status: string, message: string): Partial<Heard> => ({ status: Number(status.slice(0, 3)), type: 'text/plain', body: `${status}\n\n${message}\n\n   ` });
const LEGACY_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC5/C1oWRCMrHmqwpgfl7jhJuhCHRhFQrvQd6FXg5+Sw bob@host';

const DIFFERENCES: readonly Difference[] = [
  {
    why: 'an instance that was never migrated is told its key in both trees, not in EC2\'s alone',
    of: named('115-legacykey-openstack-latest-meta-data.json'),
    ours: ({ body }) => ({ body: json(body, ({ uuid, ...rest }) => ({ uuid, public_keys: { 'legacy-key': LEGACY_KEY }, keys: [{ name: 'legacy-key', type: 'ssh', data: LEGACY_KEY }], ...rest })) }),
  },
  {
    why: 'disks have no tags here, and no guest has CPUs of its own: what is listed is the network\'s devices',
    of: ({ name, response }) => /full/.test(name) && /"devices": \[\{/.test(response.body),
    ours: ({ body }) => ({
      body: json(body, (value) => ({
        ...value,
        devices: (value['devices'] as { type: string }[]).filter(({ type }) => type === 'nic'),
        ...('dedicated_cpus' in value ? { dedicated_cpus: [] } : {}),
      })),
    }),
  },
  {
    why: 'security groups are the network service\'s, and there is none to ask: there are none, rather than some that may be others',
    of: path(/security-groups$/),
    ours: () => ({ body: '' }),
  },
  {
    why: 'a password is text that a guest wrote, and never a page',
    of: ({ request, response }) => request.path.endsWith('/password') && response.status === 200,
    ours: () => ({ type: 'text/plain' }),
  },
  {
    why: 'nothing lies below a file: no fault of the service, but a path that leads nowhere',
    of: named('247-full-path-latest-meta-data-hostname-x'),
    ours: () => refused('404 Not Found', 'The resource could not be found.'),
  },
  {
    why: 'a method that does not read is not taken for one that does',
    of: named('263-POST-instance-id', '265-OPTIONS-meta-data'),
    ours: () => refused('405 Method Not Allowed', 'The method is not allowed for this resource: GET, HEAD would be.'),
  },
  {
    why: 'a method that is not allowed is 405, with those that are',
    of: named('294-PUT-password', '295-DELETE-password'),
    ours: () => refused('405 Method Not Allowed', 'The method is not allowed for this resource: GET, HEAD, POST would be.'),
  },
  {
    why: 'there is no load balancer of a network service that vouches for instances: its headers say nothing, and the signed ones hold',
    of: named('283-err-provider-bad-signature'),
    ours: () => ({ status: 200, type: 'application/json', body: readRecordings().find(({ name }) => name === '271-err-no-forwarded-for-still-served')?.response.body ?? '' }),
  },
];

describe("a recording of Nova's metadata service", function () {
  this.timeout(60_000);
  let postgresql: Postgresql;
  let cellDb: CellDb;
  let app: App;

  before(async () => {
    postgresql = await startPostgresql();
    const url = await postgresql.createDatabase();
    cellDb = await openCellDb({ url });
    await cellDb.migrate();
    await addRecordedInstances(cellDb, url);
    const config = { ...metadataConfig.parse({ metadataPort: '0', metadataTokens: 'off', metadataRate: '0' }), metadataSecrets: [SECRET] };
    app = await startMetadata({ config, transport: createMemoryTransport(), cellDb, log: silentLogger, metrics: createMetrics('test'), clock: systemClock });
  });
  after(async () => {
    await app?.drain();
    await cellDb?.close();
    await postgresql?.stop();
  });

  /** Signed anew: the recording's own secret is not set here. */
  async function replay({ request }: Recording): Promise<Heard> {
    const { Host: _host, ...headers } = request.headers;
    const id = headers['X-Instance-ID'];
    const isSigned = id !== undefined && 'X-Instance-ID-Signature' in headers && !/^0+$/.test(headers['X-Instance-ID-Signature']);
    const signed = isSigned ? { ...headers, 'X-Instance-ID-Signature': sign(SECRET, id) } : headers;
    return ask(app.addresses[0]?.url ?? '', request, signed);
  }

  for (const recording of readRecordings()) {
    const differences = DIFFERENCES.filter(({ of }) => of(recording));
    const [title, why] = differences.length === 0 ? ['is answered alike', ''] : ['is answered otherwise', ` (${differences.map((each) => each.why).join('; ')})`];
    it(`${title}: ${recording.name}${why}`, async () => {
      const { status, headers, body } = recording.response;
      const type = headers.find(([key]) => key === 'Content-Type')?.[1].split(';')[0]?.toLowerCase() ?? '';
      const nova: Heard = { status, type, body };
      const wanted = differences.reduce((heard, { ours }) => ({ ...heard, ...ours(heard) }), nova);
      const heard = await replay(recording);
      assert.deepEqual(comparable(heard), comparable(wanted));
      if (differences.length > 0) assert.notDeepEqual(comparable(heard), comparable(nova), 'it is the same after all');
    });
  }

  it('is of every kind that a difference is told of', () => {
    assert.deepEqual(DIFFERENCES.filter(({ of }) => !readRecordings().some(of)).map(({ why }) => why), []);
  });
});

/** JSON as its value and the order of its keys, without what is new at each request once its form is seen to be right. */
function comparable({ status, type, body }: Heard): unknown {
  if (!body.startsWith('{')) return { status, type, body };
  const { random_seed: seed, ...rest } = JSON.parse(body) as Record<string, unknown>;
  if (seed !== undefined) assert.equal(Buffer.from(String(seed), 'base64').length, 512);
  return { status, type, value: rest, keys: Object.keys(JSON.parse(body) as object) };
}

/** With the path as it is: fetch would tidy it. */
function ask(origin: string, { method, path: asked, body }: Recording['request'], headers: Readonly<Record<string, string>>): Promise<Heard> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ hostname, port, path: asked, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({
        status: response.statusCode ?? 0,
        type: (response.headers['content-type'] ?? '').split(';')[0]?.toLowerCase() ?? '',
        body: Buffer.concat(chunks).toString(),
      }));
    });
    request.on('error', reject);
    request.end(body);
  });
}
