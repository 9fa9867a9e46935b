/** Machines whose clocks disagree by five minutes: nothing expires too early or too late, whichever consoleauth is asked. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { artifactPath } from '../servers/artifacts.ts';
import { CrowdConsole } from './crowd-console.ts';
import { CrowdedHouse } from './crowded-house.ts';

const PRELOAD = fileURLToPath(new URL('shift-clock.cjs', import.meta.url));
const LEASE_SECONDS = 10;
const TOKEN_SECONDS = 20;
const MACHINES = 10;
/** Seven processes and two servers, on a machine that others use too. */
const SETUP_MS_MAX = 240_000;

for (const [minutes, words] of [[5, 'ahead'], [-5, 'behind']] as const) {
  describe(`a consoleauth and a proxy whose clocks are five minutes ${words}`, function () {
    this.timeout(120_000);
    this.bail(true);
    let house: CrowdedHouse;

    before(async function () {
      this.timeout(SETUP_MS_MAX);
      const wrong = {
        GATEHOUSE_TEST_CLOCK_SHIFT_MS: String(minutes * 60_000),
        NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --require="${PRELOAD}"`,
      };
      house = await CrowdedHouse.start({
        machines: MACHINES,
        viewersAMachine: 3,
        env: { GATEHOUSE_CONSOLE_LEASE: String(LEASE_SECONDS), GATEHOUSE_CONSOLE_TOKEN_TTL: String(TOKEN_SECONDS) },
        envOf: { 'consoleauth-2': wrong, 'proxy-2': wrong },
      });
    });

    after(async () => {
      if (house !== undefined) writeFileSync(artifactPath(`console-skew-${words}.log`), house.logs);
      await house?.stop();
    });

    const endings = async () => (await house.crowd.sessions()).filter(({ ended }) => ended);
    const askAll = () => Promise.all(house.crowd.machines.map((id) => house.compute.consoleUrl(id, 'vnc')));

    /** Each time one of the two answers, or the other. */
    async function opensInTimeAndNotAfter(): Promise<void> {
      const [soon, late] = [await askAll(), await askAll()];
      const expired = performance.now() + (TOKEN_SECONDS + 2) * 1_000;
      await sleep((TOKEN_SECONDS / 2) * 1_000);
      const opened = await Promise.all(soon.map((url, at) => CrowdConsole.open(house.crowd.machines[at] ?? '', 'vnc', url)));
      for (const console of opened) console.leave();
      await sleep(expired - performance.now());
      for (const [at, url] of late.entries()) {
        await assert.rejects(CrowdConsole.open(house.crowd.machines[at] ?? '', 'vnc', url), /closed with 4401 /);
      }
    }

    /** While tokens are tried, leases are renewed twice. */
    async function allIsInTime(): Promise<void> {
      const before = (await endings()).length;
      await opensInTimeAndNotAfter();
      await house.crowd.settle(15_000);
      const lost = (await endings()).filter(({ reason }) => reason !== 'client_closed');
      assert.deepEqual([house.crowd.open.length, lost], [MACHINES * 4, []]);
      assert.equal((await endings()).length, before + MACHINES);
    }

    it('renew consoles, end none by mistake, and honour tokens for as long as they last and no longer', async () => {
      assert.deepEqual(await house.crowd.fill(), []);
      await allIsInTime();
    });

    it('do so too when only the consoleauth that is wrong is left', async () => {
      await house.kill('consoleauth');
      await allIsInTime();
    });
  });
}
