/** The REST API: key pairs, instances and their consoles, as Nova's clients know them. */
import { Module } from '@nestjs/common';
import type { DynamicModule, Provider } from '@nestjs/common';
import type { ApiDb } from '@gatehouse/api-db/api-db';
import type { CellDb } from '@gatehouse/cell-db/cell-db';
import { compute } from '@gatehouse/contracts/compute';
import { consoleauth } from '@gatehouse/contracts/consoleauth';
import { metadata } from '@gatehouse/contracts/metadata';
import { askConsoleauth, FleetPins } from '@gatehouse/contracts/fleet-pins';
import { ServiceError } from '@gatehouse/errors/service-error';
import { createClient } from '@gatehouse/rpc/client';
import type { Transport } from '@gatehouse/rpc/transport';
import type { App } from '@gatehouse/runtime/app';
import type { Clock } from '@gatehouse/runtime/clock';
import type { Logger } from '@gatehouse/runtime/logger';
import type { Metrics } from '@gatehouse/runtime/metrics';
import { createHttpApp, listenHttp } from '@gatehouse/runtime/nest-app';
import type { RefusedRequest } from '@gatehouse/runtime/nest-app';
import { periodic } from '@gatehouse/runtime/periodic';
import { AbandonedTasks } from './abandoned-tasks.ts';
import type { ApiConfig } from './config.ts';
import { ConsoleSessions } from './console-sessions.ts';
import { Consoles } from './consoles.ts';
import { Guests } from './guests.ts';
import type { HomeCell } from './home-cell.ts';
import { homeCell } from './home-cell.ts';
import { identityNone } from './identity.ts';
import { INSTANCE_CONTROLLERS, instanceResources } from './instance-resources.ts';
import { InstanceTasks } from './instance-tasks.ts';
import { Instances } from './instances.ts';
import { KeyPairs } from './key-pairs.ts';
import { MetadataNews } from './metadata-news.ts';
import { LegacyKeyPairs } from './legacy-key-pairs.ts';
import { MergedKeyPairs } from './merged-key-pairs.ts';
import { Moves } from './moves.ts';
import { Placement } from './placement.ts';
import { Power } from './power.ts';
import { Relocation } from './relocation.ts';
import { ConsoleAuthTokensController } from './rest/console-auth-tokens.controller.ts';
import { ConsolesController } from './rest/consoles.controller.ts';
import { ExtensionsController } from './rest/extensions.controller.ts';
import { BODY_BYTES_MAX, faultOf } from './rest/fault.ts';
import { hostGuard, isLoopbackName } from './rest/host-guard.ts';
import { prepareHttpEdge } from './rest/http-edge.ts';
import { KeyPairQuotaController } from './rest/key-pair-quota.controller.ts';
import { KeyPairsController } from './rest/key-pairs.controller.ts';
import { ServerActionsController } from './rest/server-actions.controller.ts';
import { ServersController } from './rest/servers.controller.ts';
import { ConsoleSessionsController } from './rest/v1/console-sessions.controller.ts';
import { OpenApiController } from './rest/v1/openapi.controller.ts';
import { V1KeyPairsController } from './rest/v1/key-pairs.controller.ts';
import { isV1, problemOf } from './rest/v1/problem.ts';
import { SessionFeed } from './session-feed.ts';

export interface ApiResources {
  readonly config: ApiConfig;
  readonly transport: Transport;
  readonly apiDb: ApiDb;
  readonly cellDb: CellDb;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** How the cell of `cellDb` is reached; `cell1`, inside this process, unless told. */
  readonly cell?: HomeCell;
  /** Further cells that may have key pairs which have not moved to the API database. */
  readonly legacyCells?: readonly Pick<CellDb, 'legacyKeyPairs'>[];
}

interface ApiParts {
  readonly keyPairs: KeyPairs;
  readonly instances: Instances;
  readonly consoles: Consoles;
  readonly sessions: ConsoleSessions;
  readonly feed: SessionFeed;
  readonly power: Power;
  readonly moves: Moves;
  /** Of what there is under an instance besides. */
  readonly resources: readonly Provider[];
}

@Module({})
export class ApiModule {
  static of({ keyPairs, instances, consoles, sessions, feed, power, moves, resources }: ApiParts): DynamicModule {
    return {
      module: ApiModule,
      controllers: [
        ...[KeyPairsController, ConsolesController, ServerActionsController, ServersController],
        ...[KeyPairQuotaController, ExtensionsController, ConsoleAuthTokensController, OpenApiController, ConsoleSessionsController, V1KeyPairsController],
        ...INSTANCE_CONTROLLERS,
      ],
      providers: [
        { provide: KeyPairs, useValue: keyPairs },
        { provide: Instances, useValue: instances },
        { provide: Consoles, useValue: consoles },
        { provide: ConsoleSessions, useValue: sessions },
        { provide: SessionFeed, useValue: feed },
        { provide: Power, useValue: power },
        { provide: Moves, useValue: moves },
        ...resources,
      ],
    };
  }
}

/** What guests get that are being made when the api stops, and what instances get that are being worked on. */
const BUILDS_WAIT_MS = 1_000;
const TASKS_WAIT_MS = 3_000;
const LEVELS_EVERY_MS = 5_000;
const EMBEDDED_CELL: HomeCell = { name: 'cell1', transportUrl: 'memory:', databaseUrl: 'embedded:' };

/**
 * Serves the API. Throws FAILED_PRECONDITION where identity `none` would be reachable from other machines without
 * the operator's word for it, and what the system says about a port that is taken.
 */
export async function startApi(resources: ApiResources): Promise<App> {
  const { config, transport, apiDb, cellDb, log, metrics, clock } = resources;
  refuseOpenDoor(config);
  const pins = new FleetPins(config, askConsoleauth(transport), clock, log);
  const rpc = {
    compute: createClient(compute, transport, { pin: pins.of(compute) }),
    consoleauth: createClient(consoleauth, transport, { pin: pins.of(consoleauth) }),
  };
  // Not pinned: for what came with the newest level, which an older server refuses and no pin can turn into less.
  const newest = { compute: createClient(compute, transport), consoleauth: createClient(consoleauth, transport) };
  const placement = new Placement(cellDb, clock);
  const guests = new Guests({ ...rpc, compute: { pinned: rpc.compute, newest: newest.compute } }, cellDb, placement, clock, log);
  const cell = homeCell(apiDb, resources.cell ?? EMBEDDED_CELL, clock);
  const metadataClient = createClient(metadata, transport);
  const news = new MetadataNews(metadataClient, log);
  const legacyStores = [cellDb, ...(resources.legacyCells ?? [])].map(({ legacyKeyPairs }) => legacyKeyPairs);
  const merged = new MergedKeyPairs(apiDb.keyPairs, new LegacyKeyPairs(legacyStores, clock));
  const instances = new Instances({ apiDb, cellDb }, cell, { placement, guests, news, keyPairs: merged, abandoned: new AbandonedTasks(cellDb, clock, log) }, clock);
  const tasks = new InstanceTasks(cellDb, clock, log);
  const power = new Power({ instances, placement, guests, tasks, news });
  const moves = new Moves({ instances, placement, guests, tasks, news, relocation: new Relocation(guests, tasks, log) });
  const keyPairs = new KeyPairs(merged, config, clock);
  const sessions = new ConsoleSessions(newest.consoleauth);
  const feed = new SessionFeed(sessions, clock, log);
  const consoles = new Consoles(instances, rpc.compute, newest);
  const own = instanceResources(instances, { cellDb, news, clock, log }, metadataClient);
  const module = ApiModule.of({ keyPairs, instances, consoles, sessions, feed, power, moves, resources: own });
  const renderError = (error: ServiceError, request: RefusedRequest) => (isV1(request) ? problemOf(error, request) : faultOf(error));
  const http = await createHttpApp({ module, log, metrics, bodyBytesMax: BODY_BYTES_MAX, renderError });
  prepareHttpEdge(http, { identity: identityNone, guard: hostGuard([config.bindAddress, ...config.apiHosts]) });
  const url = await listenHttp(http, config.apiPort, config.bindAddress);
  const levels = periodic({ name: 'levels of the fleet', everyMs: LEVELS_EVERY_MS, clock, log, work: () => pins.refresh() });
  return {
    name: 'api',
    addresses: [{ name: 'api', url }],
    async checkReady() {
      // Not the broker: key pairs and what is stored of instances are served without it.
      await Promise.all([apiDb.check(), cellDb.check()]);
    },
    async drain() {
      await levels.stop();
      feed.close();
      await http.close();
      // A guest that takes longer is made all the same: its agent stores its state.
      await Promise.race([guests.idle(), clock.sleep(BUILDS_WAIT_MS)]);
      await Promise.race([tasks.idle(), clock.sleep(TASKS_WAIT_MS)]);
    },
  };
}

function refuseOpenDoor({ bindAddress, insecureNoAuth }: ApiConfig): void {
  if (insecureNoAuth || isLoopbackName(bindAddress)) return;
  throw new ServiceError(
    'FAILED_PRECONDITION',
    `GATEHOUSE_BIND_ADDRESS is ${bindAddress}, where other machines reach the API, and every token is believed: ` +
      'bind to 127.0.0.1, or set GATEHOUSE_INSECURE_NO_AUTH=true if that is what you want',
  );
}
