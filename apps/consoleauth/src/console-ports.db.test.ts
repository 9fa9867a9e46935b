import assert from 'node:assert/strict';
import type { ServiceError } from '@gatehouse/errors/service-error';
import { ports, refused, startConsoleAuths } from './test-consoleauths.ts';
import type { ConsoleAuths } from './test-consoleauths.ts';

const codeOf = (result: PromiseSettledResult<unknown>): string => (result.status === 'fulfilled' ? 'ok' : (result.reason as ServiceError).code);

describe('the ports of a machine, given out by two consoleauths', function () {
  this.timeout(60_000);
  let bench: ConsoleAuths;
  before(async () => (bench = await startConsoleAuths()));
  after(() => bench?.stop());

  it('are each promised to one of many who ask at once, and the rest are told that none is free', async () => {
    const uuid = await bench.makeInstance();
    const asked = await Promise.allSettled(Array.from({ length: 12 }, (_, n) => bench.mint(ports(uuid, 'serial', 8), `user-${n}`, n)));
    const got = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value.port] : []));
    assert.deepEqual(got.sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(asked.map(codeOf).filter((code) => code !== 'ok'), Array(4).fill('NO_PORT_FREE'));
    await assert.rejects(bench.mint(ports(uuid, 'serial', 8), 'late'), refused('NO_PORT_FREE', /^no port of this console is free: 0 of 8 in use, 8 reserved/));
  });

  it('are counted as in use or reserved in the words of the refusal', async () => {
    const uuid = await bench.makeInstance();
    const { token } = await bench.mint(ports(uuid, 'serial', 2), 'alice');
    await bench.connect({ token });
    await bench.mint(ports(uuid, 'serial', 2), 'bob', 1);
    await assert.rejects(bench.mint(ports(uuid, 'serial', 2), 'carol'), refused('NO_PORT_FREE', /1 of 2 in use, 1 reserved for a short while; try again/));
  });

  it('are each promised to one of the requests of the same user too; one more supersedes his oldest promise', async () => {
    const uuid = await bench.makeInstance();
    const all = await Promise.all([0, 1, 2].map((n) => bench.mint(ports(uuid, 'serial', 3), 'alice', n)));
    assert.deepEqual(all.map(({ port }) => port).sort(), [0, 1, 2]);
    await bench.clock.advance(1_000);
    const again = await bench.mint(ports(uuid, 'serial', 3), 'alice', 1);
    const older = all.find(({ port }) => port === again.port) ?? assert.fail();
    await assert.rejects(bench.connect({ token: older.token }), refused('PORT_IN_USE', /waits for a newer link of yours/));
    await bench.connect({ token: again.token, of: 1 });
    await assert.rejects(bench.connect({ token: older.token }), refused('PORT_IN_USE', /in use since/));
  });

  it('go to the newest link however the older one races it, and never to both', async () => {
    for (let round = 0; round < 10; round += 1) {
      const uuid = await bench.makeInstance();
      const older = await bench.mint(ports(uuid, 'serial'), 'alice');
      const newer = bench.mint(ports(uuid, 'serial'), 'alice', 1);
      const [first, second] = await Promise.allSettled([bench.connect({ token: older.token }), newer]);
      // Either the older link came first, and no port is free for another; or it was superseded, and the newer one opens.
      assert.deepEqual([codeOf(first), codeOf(second)].sort(), codeOf(first) === 'ok' ? ['NO_PORT_FREE', 'ok'] : ['PORT_IN_USE', 'ok'], `round ${round}`);
      if (second.status === 'fulfilled') await bench.connect({ token: second.value.token });
    }
  });

  it('of SPICE are taken by who may work there, and not by who may only look while somebody has the screen', async () => {
    const uuid = await bench.makeInstance();
    const viewer = await bench.mint(ports(uuid, 'spice-html5'), 'bob', 0, 'view');
    const worker = await bench.mint(ports(uuid, 'spice-html5'), 'alice');
    await bench.connect({ token: viewer.token });
    const { session } = await bench.connect({ token: worker.token });
    await assert.rejects(bench.connect({ token: viewer.token }), refused('PORT_IN_USE', /in use since/));
    await bench.revoke(session.instanceUuid);
    const screen = await bench.makeInstance();
    await bench.connect({ token: (await bench.mint(ports(screen, 'novnc'), 'alice')).token });
    await bench.connect({ token: (await bench.mint(ports(screen, 'novnc'), 'bob', 0, 'view')).token });
  });

  it('open to one of two who come with the same link at once', async () => {
    const uuid = await bench.makeInstance();
    const { token } = await bench.mint(ports(uuid, 'serial'));
    const came = await Promise.allSettled([0, 1, 2, 3].map((of) => bench.connect({ token, of })));
    assert.deepEqual(came.map(codeOf).sort(), ['PORT_IN_USE', 'PORT_IN_USE', 'PORT_IN_USE', 'ok']);
  });

  it('are free again when a promise was not used for half a minute, and the older link still opens one that is free', async () => {
    const uuid = await bench.makeInstance();
    const { token } = await bench.mint(ports(uuid, 'serial'), 'alice');
    await bench.clock.advance(29_999);
    await assert.rejects(bench.mint(ports(uuid, 'serial'), 'bob'), refused('NO_PORT_FREE', /1 reserved/));
    await bench.clock.advance(1);
    await bench.report();
    const bobs = await bench.mint(ports(uuid, 'serial'), 'bob');
    await assert.rejects(bench.connect({ token }), refused('PORT_IN_USE', /promised to another user/));
    const { session } = await bench.connect({ token: bobs.token });
    await bench.release('proxy-1', session.id);
    await bench.connect({ token });
  });
});

describe('the policy of exclusive consoles', function () {
  this.timeout(60_000);
  let bench: ConsoleAuths;
  before(async () => (bench = await startConsoleAuths({ consoleExclusive: 'novnc' })));
  after(() => bench?.stop());

  it('is refused at the start when it names what is no console type', async () => {
    await assert.rejects(startConsoleAuths({ consoleExclusive: 'novnc, telepathy' }), /some of novnc, serial/);
  });

  it('keeps a screen to one client and promises it to one user, where it says so', async () => {
    const uuid = await bench.makeInstance();
    const { token } = await bench.mint(ports(uuid, 'novnc'));
    await assert.rejects(bench.mint(ports(uuid, 'novnc'), 'bob'), refused('NO_PORT_FREE', /0 of 1 in use, 1 reserved/));
    await bench.connect({ token });
    await assert.rejects(bench.connect({ token, of: 1 }), refused('PORT_IN_USE', /in use since 12:00:00 UTC; one client at a time/));
  });
});
