import { makeDataDir } from './data-dir.ts';
import { runProcess } from '@gatehouse/runtime/run-process';
import { VERSION } from '@gatehouse/runtime/version';
import { ComputeApi } from './compute-api.ts';
import { dataDirOf, localHost, standaloneConfig } from './config.ts';
import { consoleLinks } from './console-links.ts';
import { lockDataDir } from './data-lock.ts';
import { makeDemoOnce } from './demo.ts';
import { claimPorts } from './free-ports.ts';
import { readyLine, terminalOf } from './terminal.ts';

const terminal = terminalOf(process.stdout, process.stdin);

// Ctrl-C is answered within 5 s: what has not finished by then is cut off.
const DRAIN_TIMEOUT_MS = 4_500;

await runProcess({
  name: 'standalone',
  env: process.env,
  config: standaloneConfig,
  logTo: 2,
  drainTimeoutMs: DRAIN_TIMEOUT_MS,
  async prepare(config) {
    const dataDir = dataDirOf(config);
    makeDataDir(dataDir);
    const lock = lockDataDir(dataDir);
    process.once('exit', () => lock.release());
    const { apiPort, proxyPort, metadataPort, opsPort } = config;
    const ports = await claimPorts(config.bindAddress, { apiPort, proxyPort, metadataPort, opsPort });
    terminal.say(`Gatehouse ${VERSION}, data in ${dataDir}`);
    return { ...config, ...ports, dataDir };
  },
  async start(boot) {
    // Loaded only now: a wrong setting or a taken port is told before a second goes into reading code.
    const { startStandalone } = await import('./app.module.ts');
    const app = await startStandalone(boot, terminal);
    const { config, clock, log } = boot;
    const api = new ComputeApi(`http://${localHost(config.bindAddress)}:${config.apiPort}`);
    try {
      await makeDemoOnce({ api, dataDir: dataDirOf(config), clock, log });
    } catch (error) {
      // Everything else works: a person who sees it can go on.
      log.error({ err: error }, 'the demo instances could not be made');
    }
    const printLinks = async (): Promise<void> => {
      const hours = Math.round(config.consoleTokenTtl / 360) / 10;
      terminal.say(`\nConsoles to open in a browser (good for ${hours} h${canAsk ? '; Enter prints fresh ones' : ''}):`);
      for (const line of await consoleLinks(api)) terminal.say(line);
      terminal.say('');
    };
    const canAsk = terminal.onEnter(printLinks);
    await printLinks();
    return {
      ...app,
      drain() {
        terminal.say('stopping ...');
        return app.drain();
      },
    };
  },
  started: (app, opsUrl) => terminal.say(readyLine([...app.addresses.toReversed(), { name: 'ops', url: opsUrl }])),
});
