// RabbitMQ for tests: an own node with its own folders, cookie, name and port mapper (epmd), all on loopback.
// With GATEHOUSE_TEST_RABBITMQ_URL and GATEHOUSE_TEST_RABBITMQ_CONTROL set (the runner does), the run's node
// is used and each caller gets a virtual host of its own, so that suites never meet. A suite that restarts
// or kills its broker asks for an own one.
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { accepts, makeTempFolder, removeTempFolder, runCommand, startServer } from './server-process.ts';

const CONNECT_TRIES_MAX = 5;

export interface Rabbitmq {
  /** amqp://guest:guest@127.0.0.1:port/vhost */
  readonly url: string;
  /** Evaluates an Erlang expression in the node: `erl_call` is fast where `rabbitmqctl` takes seconds. */
  evaluate(expression: string): Promise<string>;
  /** Closes every client connection of this virtual host, as an operator or a partition would. */
  closeConnections(): Promise<void>;
  stop(): Promise<void>;
}

export interface OwnRabbitmq extends Rabbitmq {
  /** `distribution port:cookie`, what GATEHOUSE_TEST_RABBITMQ_CONTROL carries. */
  readonly control: string;
  /** Stops in order and starts again on the same port and data. */
  restart(): Promise<void>;
  /** SIGKILL; start() brings it back on the same port and data. */
  kill(): Promise<void>;
  start(): Promise<void>;
}

/** A virtual host of the run's broker when there is one, otherwise an own broker. */
export async function startRabbitmq(): Promise<Rabbitmq> {
  const url = process.env['GATEHOUSE_TEST_RABBITMQ_URL'];
  const control = process.env['GATEHOUSE_TEST_RABBITMQ_CONTROL'];
  if (!url || !control) return startOwnRabbitmq();
  const name = `test-${randomBytes(6).toString('hex')}`;
  await evaluateAt(control, `rabbit_vhost:add(<<"${name}">>, <<"tests">>)`);
  await evaluateAt(
    control,
    `rabbit_auth_backend_internal:set_permissions(<<"guest">>, <<"${name}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)`,
  );
  const address = new URL(url);
  address.pathname = `/${name}`;
  return {
    url: address.href,
    evaluate: (expression) => evaluateAt(control, expression),
    closeConnections: () => closeConnectionsOf(control, name),
    async stop() {
      await evaluateAt(control, `rabbit_vhost:delete(<<"${name}">>, <<"tests">>)`).catch(() => {});
    },
  };
}

/** Starts a broker for one suite alone; about 4 s. */
export async function startOwnRabbitmq(): Promise<OwnRabbitmq> {
  const node = await prepareNode();
  const start = () =>
    startServer({
      name: 'rabbitmq',
      command: RABBITMQ_SERVER,
      args: [],
      cwd: node.folder,
      env: node.env,
      isReady: async () => (await accepts(node.port)) && isBooted(node.control),
      readyTimeoutMs: 90_000,
    });
  const epmd = await startServer({
    name: 'epmd',
    command: 'epmd',
    args: ['-address', '127.0.0.1', '-port', String(node.epmdPort)],
    cwd: node.folder,
    isReady: () => accepts(node.epmdPort),
  });
  let server = await start();
  return {
    url: `amqp://guest:guest@127.0.0.1:${node.port}/`,
    control: node.control,
    evaluate: (expression) => evaluateAt(node.control, expression),
    closeConnections: () => closeConnectionsOf(node.control, '/'),
    async restart() {
      await server.stop(20_000);
      server = await start();
    },
    kill: () => server.kill(),
    async start() {
      server = await start();
    },
    async stop() {
      // Nobody keeps its data, so nothing is worth the seconds of an orderly end.
      await server.kill();
      await epmd.kill();
      removeTempFolder(node.folder);
    },
  };
}

const RABBITMQ_SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';

interface PreparedNode {
  readonly folder: string;
  readonly port: number;
  readonly epmdPort: number;
  readonly control: string;
  readonly env: Record<string, string>;
}

async function prepareNode(): Promise<PreparedNode> {
  if (!existsSync(RABBITMQ_SERVER)) throw new Error('RabbitMQ is not installed: apt-get install rabbitmq-server');
  const folder = makeTempFolder('rabbitmq');
  const [port, distributionPort, epmdPort] = [await freePort(), await freePort(), await freePort()];
  const cookie = randomBytes(16).toString('hex').toUpperCase();
  writeFileSync(join(folder, '.erlang.cookie'), cookie);
  chmodSync(join(folder, '.erlang.cookie'), 0o400);
  mkdirSync(join(folder, 'log'));
  writeFileSync(join(folder, 'enabled_plugins'), '[].\n');
  writeFileSync(
    join(folder, 'rabbitmq.conf'),
    [`listeners.tcp.1 = 127.0.0.1:${port}`, 'disk_free_limit.absolute = 10MB', 'log.console = true', 'log.file = false', ''].join('\n'),
  );
  const env = {
    HOME: folder,
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    // One process, without the shell that would stand between us and its signals.
    RUNNING_UNDER_SYSTEMD: '1',
    RABBITMQ_NODENAME: `gatehouse-${port}@localhost`,
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_CONF_ENV_FILE: join(folder, 'none.conf'),
    RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
    RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(folder, 'config'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}',
  };
  return { folder, port, epmdPort, control: `${distributionPort}:${cookie}`, env };
}

async function isBooted(control: string): Promise<boolean> {
  try {
    return (await evaluateAt(control, 'rabbit:is_running()')).includes('true');
  } catch {
    return false;
  }
}

async function closeConnectionsOf(control: string, vhost: string): Promise<void> {
  await evaluateAt(
    control,
    `[rabbit_networking:close_connection(Pid, "closed by a test") || [{pid, Pid}, {vhost, <<"${vhost}">>}] <- rabbit_networking:connection_info_all([pid, vhost])]`,
  );
}

async function evaluateAt(control: string, expression: string): Promise<string> {
  const [port, cookie] = control.split(':');
  const answer = await callNode(['-address', `127.0.0.1:${port}`, '-c', cookie ?? '', '-e'], `${expression}.\n`);
  if (!answer.startsWith('{ok')) throw new Error(`the broker refused ${expression}: ${answer}`);
  return answer.replace(/^\{ok,\s*|\}$/g, '');
}

/** A node that is busy may not answer the handshake in erl_call's time; nothing has been evaluated then. */
async function callNode(args: readonly string[], input: string): Promise<string> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await runWithInput('erl_call', args, input);
    } catch (error) {
      if (tries === CONNECT_TRIES_MAX || !String(error).includes('failed to connect to node')) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

// erl_call reads the expression from its input.
async function runWithInput(command: string, args: readonly string[], input: string): Promise<string> {
  return runCommand('/bin/sh', ['-c', 'printf %s "$0" | "$@"', input, command, ...args], { timeoutMs: 20_000 });
}
