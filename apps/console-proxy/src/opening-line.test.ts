import assert from 'node:assert/strict';
import { ServiceError } from '@gatehouse/errors/service-error';
import { OpeningLine, type GiveBack } from './opening-line.ts';

const never = new AbortController().signal;
const FULL = { code: 'RESOURCE_EXHAUSTED', message: /Too many consoles are being opened here/ };

describe('the line of those who want to be let in', () => {
  const places: GiveBack[] = [];
  const order: string[] = [];
  const giveBackFirst = async (): Promise<void> => {
    places.shift()?.();
    await new Promise(setImmediate);
  };
  const enter = async (line: OpeningLine, address: string, gone = never): Promise<void> => {
    places.push(await line.take(address, gone));
    order.push(address);
  };
  beforeEach(() => {
    places.length = 0;
    order.length = 0;
  });

  it('is none while there is room, and a place that is given back twice is one', async () => {
    const line = new OpeningLine({ placesMax: 2, waitingMax: 10, waitMs: 60_000 });
    const [first] = [await line.take('192.0.2.1', never), await line.take('192.0.2.1', never)];
    const third = enter(line, '192.0.2.1');
    const fourth = enter(line, '192.0.2.1');
    first();
    first();
    await third;
    assert.deepEqual([order.length, line.waiting], [1, 1]);
    await giveBackFirst();
    await fourth;
  });

  it('has turns by network: whoever comes from another one than a flood waits for one of it', async () => {
    const line = new OpeningLine({ placesMax: 1, waitingMax: 1_000, waitMs: 60_000 });
    await enter(line, '192.0.2.0');
    const end = new AbortController();
    const addresses = Array.from({ length: 300 }, (_, i) => `192.0.2.${i % 256}`);
    const crowd = Promise.allSettled([...addresses, '198.51.100.7'].map((address) => enter(line, address, end.signal)));
    for (let turn = 0; turn < 3; turn += 1) await giveBackFirst();
    assert.deepEqual(order.slice(1), ['192.0.2.0', '198.51.100.7', '192.0.2.1']);
    end.abort();
    await crowd;
  });

  it('turns away, when it is full, the last of the network that has most in it', async () => {
    const line = new OpeningLine({ placesMax: 1, waitingMax: 4, waitMs: 60_000 });
    await enter(line, '192.0.2.0');
    const crowd = [1, 2, 3, 4].map((each) => enter(line, `192.0.2.${each}`));
    await assert.rejects(enter(line, '192.0.2.5'), FULL);
    const other = enter(line, '2001:db8::1');
    await assert.rejects(crowd[3]!, FULL);
    for (let turn = 0; turn < 5; turn += 1) await giveBackFirst();
    await Promise.all([other, ...crowd.slice(0, 3)]);
    assert.deepEqual(order, ['192.0.2.0', '192.0.2.1', '2001:db8::1', '192.0.2.2', '192.0.2.3']);
    assert.equal(line.waiting, 0);
  });

  it('is left by who is gone, and by who has waited long enough', async () => {
    const line = new OpeningLine({ placesMax: 1, waitingMax: 4, waitMs: 20 });
    await enter(line, '192.0.2.0');
    const gone = new AbortController();
    const [leaving, late] = [enter(line, '192.0.2.1', gone.signal), enter(line, '192.0.2.2')];
    gone.abort(new ServiceError('CANCELLED', 'gone'));
    await assert.rejects(leaving, { code: 'CANCELLED' });
    await assert.rejects(late, FULL);
    await assert.rejects(enter(line, '192.0.2.3', gone.signal), { code: 'CANCELLED' });
    assert.equal(line.waiting, 0);
    await giveBackFirst();
    // Nor is anybody asked about who is gone where there is room.
    await assert.rejects(enter(line, '192.0.2.3', gone.signal), { code: 'CANCELLED' });
    await enter(line, '192.0.2.4');
    assert.deepEqual(order, ['192.0.2.0', '192.0.2.4']);
  });
});
