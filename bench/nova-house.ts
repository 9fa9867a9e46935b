/**
 * Nova itself as Debian packages it (python3-nova), to be measured beside ours in one run: nova-api, as many processes of it as are
 * asked for, over databases on the PostgreSQL that it is given.
 *
 * One worker each, with Nova's own filters; what is not set here is as Nova has it. Its pools of database connections are set: with
 * the 5 that it keeps unless told otherwise it opens one or two for each request when 32 are in flight, and PostgreSQL spends 18 ms
 * more on each. The network service is answered by this process, which is not counted, with one port and one security group.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { freePort } from '../test/servers/free-port.ts';
import { accepts, makeTempFolder, removeTempFolder, runCommand, startServer } from '../test/servers/server-process.ts';
import type { ServerProcess } from '../test/servers/server-process.ts';
import { treeCpuMs } from './tree-cpu.ts';

/** What there is to be before Nova starts. */
export interface NovaContents {
  /** Their uuids; all of them are of one kind. */
  readonly instances: readonly string[];
  readonly projectId: string;
  readonly userId: string;
  readonly publicKey: string;
  readonly userData: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export type NovaApplication = 'osapi_compute' | 'metadata';

export interface NovaHouse {
  readonly apiDatabaseUrl: string;
  /** A process of nova-api with that application and settings `section.name`. @returns its URL */
  serve(application: NovaApplication, settings?: Readonly<Record<string, string>>): Promise<string>;
  /** What its processes have spent so far, without the database. */
  cpuMs(): number;
  stop(): Promise<void>;
}

/** Of the requests that ours are asked for in a round. */
export const NOVA_SHARE = 0.1;

const PYTHON = '/usr/bin/python3';
const PACKAGE = '/usr/lib/python3/dist-packages/nova';
const SCRIPT = fileURLToPath(new URL('nova_house.py', import.meta.url));
/** Connections that are kept to a database. */
const POOL_SIZE = '32';
/** Tables of three databases, by Python. */
const PREPARE_TIMEOUT_MS = 180_000;
const [NETWORK_ID, PORT_ID, GROUP_ID] = [randomUUID(), randomUUID(), randomUUID()];

/** @param createDatabase makes an empty one and returns its URL */
export async function startNova(createDatabase: () => Promise<string>, contents?: NovaContents): Promise<NovaHouse> {
  if (!existsSync(PACKAGE)) throw new Error('Nova is not installed: apt-get install python3-nova');
  const folder = makeTempFolder('nova');
  const [apiDatabaseUrl, cell0Url, cellUrl] = [await createDatabase(), await createDatabase(), await createDatabase()];
  const network = await startNetworkService();
  const common = {
    'DEFAULT.transport_url': 'fake:///', 'DEFAULT.state_path': folder, 'api.auth_strategy': 'noauth2', 'wsgi.api_paste_config': join(folder, 'api-paste.ini'),
    'api_database.connection': apiDatabaseUrl, 'api_database.max_pool_size': POOL_SIZE, 'database.connection': cellUrl, 'database.max_pool_size': POOL_SIZE,
    'neutron.auth_type': 'none', 'neutron.endpoint_override': `http://127.0.0.1:${portOf(network)}`,
  };
  writeFileSync(join(folder, 'api-paste.ini'), PASTE);
  const cells = { cell0_url: cell0Url, cell_url: cellUrl, cell_uuid: randomUUID(), network_id: NETWORK_ID, port_id: PORT_ID };
  const wanted = {
    ...cells, instances: contents?.instances ?? [], project_id: contents?.projectId, user_id: contents?.userId, public_key: contents?.publicKey,
    user_data: contents?.userData, metadata: contents?.metadata,
  };
  writeFileSync(join(folder, 'wanted.json'), JSON.stringify(wanted));
  writeFileSync(join(folder, 'prepare.conf'), ini(common));
  await runCommand(PYTHON, [SCRIPT, 'prepare', join(folder, 'wanted.json'), '--config-file', join(folder, 'prepare.conf')], { timeoutMs: PREPARE_TIMEOUT_MS });
  for (const url of [apiDatabaseUrl, cellUrl]) await analyze(url);
  const running: ServerProcess[] = [];
  return {
    apiDatabaseUrl,
    async serve(application, settings = {}) {
      const port = await freePort();
      const name = `nova-${application}-${port}`;
      const own = {
        'DEFAULT.enabled_apis': application, 'DEFAULT.host': name, [`DEFAULT.${application}_listen`]: '127.0.0.1',
        [`DEFAULT.${application}_listen_port`]: String(port), [`DEFAULT.${application}_workers`]: '1',
      };
      writeFileSync(join(folder, `${name}.conf`), ini({ ...common, ...own, ...settings }));
      const args = [SCRIPT, 'serve', '--config-file', join(folder, `${name}.conf`)];
      running.push(await startServer({ name, command: PYTHON, args, isReady: () => accepts(port) }));
      return `http://127.0.0.1:${port}`;
    },
    cpuMs: () => running.reduce((sum, { pid }) => sum + treeCpuMs(pid), 0),
    async stop() {
      await Promise.all(running.map((server) => server.stop()));
      network.closeAllConnections();
      network.close();
      removeTempFolder(folder);
    },
  };
}

/** What autovacuum does elsewhere. */
async function analyze(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query('VACUUM ANALYZE');
  await client.end();
}

/** As much of Neutron as Nova's metadata asks for: the instance's ports, and their security groups by id. */
async function startNetworkService(): Promise<Server> {
  const server = createServer((request, response) => {
    const asked = new URL(request.url ?? '', 'http://neutron');
    const port = { id: PORT_ID, network_id: NETWORK_ID, device_id: asked.searchParams.get('device_id'), security_groups: [GROUP_ID], fixed_ips: [{ ip_address: '10.0.0.7' }] };
    const answer = asked.pathname.includes('security-groups') ? { security_groups: [{ id: GROUP_ID, name: 'default' }] } : { ports: [port] };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  server.keepAliveTimeout = 600_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Of settings `section.name`. */
function ini(settings: Readonly<Record<string, string>>): string {
  const sections = new Map<string, string>();
  for (const [setting, value] of Object.entries(settings)) {
    const [section = '', name = ''] = setting.split('.');
    sections.set(section, `${sections.get(section) ?? ''}${name} = ${value}\n`);
  }
  return [...sections].map(([section, lines]) => `[${section}]\n${lines}`).join('\n');
}

/** The filters of a request, which Debian packages with nova-common: the same ones, in the same order. */
const PASTE = `
[composite:metadata]
use = egg:Paste#urlmap
/: meta

[pipeline:meta]
pipeline = healthcheck cors http_proxy_to_wsgi metaapp

[composite:osapi_compute]
use = call:nova.api.openstack.urlmap:urlmap_factory
/v2.1/+: compute

[composite:compute]
use = call:nova.api.auth:pipeline_factory_v21
noauth2 = healthcheck cors http_proxy_to_wsgi compute_req_id faultwrap request_log sizelimit osprofiler noauth2 computeapp

[app:metaapp]
paste.app_factory = nova.api.metadata.handler:MetadataRequestHandler.factory

[app:computeapp]
paste.app_factory = nova.api.openstack.compute:APIRouterV21.factory

[filter:healthcheck]
use = egg:oslo.middleware#healthcheck

[filter:cors]
paste.filter_factory = oslo_middleware.cors:filter_factory
oslo_config_project = nova

[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware.http_proxy_to_wsgi:HTTPProxyToWSGI.factory

[filter:compute_req_id]
paste.filter_factory = nova.api.compute_req_id:ComputeReqIdMiddleware.factory

[filter:faultwrap]
paste.filter_factory = nova.api.openstack:FaultWrapper.factory

[filter:request_log]
paste.filter_factory = nova.api.openstack.requestlog:RequestLog.factory

[filter:sizelimit]
paste.filter_factory = oslo_middleware:RequestBodySizeLimiter.factory

[filter:osprofiler]
paste.filter_factory = nova.profiler:WsgiMiddleware.factory

[filter:noauth2]
paste.filter_factory = nova.api.openstack.auth:NoAuthMiddleware.factory
`;
