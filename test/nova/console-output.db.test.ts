/**
 * Replays Nova's tests of the text that a server printed: nova/tests/unit/api/openstack/compute/test_console_output.py,
 * nova/tests/unit/policies/test_console_output.py and the sample of functional/api_sample_tests.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ServiceError } from '@gatehouse/errors/service-error';
import { playAgent, startWholeHouse } from './whole-house.ts';
import type { Answer, WholeHouse } from './whole-house.ts';

// What Nova's tests let the compute host answer.
const PRINTED = ['0', '1', '2', '3', '4'];

describe("Nova's tests of console output", function () {
  this.timeout(60_000);
  let house: WholeHouse;
  let mocked = '';
  let answer: (length: number | null) => string;

  before(async () => {
    house = await startWholeHouse(['compute-1']);
    await playAgent(house, 'mocked', { consoleOutput: ({ length }) => answer(length) });
    mocked = await house.place({ host: 'mocked' });
  });
  after(() => house?.stop());

  beforeEach(() => {
    answer = (length) => (length === null ? PRINTED : length === 0 ? [] : PRINTED.slice(-length)).join('\n');
  });

  const act = (body: unknown, id = mocked, token?: string): Promise<Answer> => house.ask('2.1', 'POST', `/servers/${id}/action`, body, token);
  const get = (options: object = {}, id = mocked, token?: string): Promise<Answer> => act({ 'os-getConsoleOutput': options }, id, token);

  async function assertOutput(options: object, output: string): Promise<void> {
    assert.deepEqual(await get(options), { status: 200, body: { output } });
  }

  async function assertRefused(asked: Promise<Answer>, status: number): Promise<void> {
    const { status: got, body } = await asked;
    assert.equal(got, status, JSON.stringify(body));
    assert.equal((Object.values(body)[0] as { code: number }).code, status);
  }

  function whenTheHostSays(error: ServiceError): void {
    answer = () => {
      throw error;
    };
  }

  it('test_get_console_output_with_non_integer_length: 400', () => assertRefused(get({ length: 'NaN' }), 400));
  it('test_get_text_console_bad_body: 400', () => assertRefused(act({}), 400));
  it('test_get_console_output_with_length_as_float: 400', () => assertRefused(get({ length: 2.5 }), 400));
  it('test_get_console_output_with_boolean_length: 400', () => assertRefused(get({ length: true }), 400));
  it('test_get_text_console_no_instance: 404', () => assertRefused(get({}, randomUUID()), 404));

  it('test_get_text_console_no_instance_on_get_output: 404 when the host finds it gone', async () => {
    whenTheHostSays(new ServiceError('NOT_FOUND', 'Instance x could not be found.'));
    await assertRefused(get(), 404);
  });

  it('test_get_console_output_not_ready: 409 while it is being made, and before it has a host', async () => {
    whenTheHostSays(new ServiceError('FAILED_PRECONDITION', 'Instance x is not ready'));
    await assertRefused(get(), 409);
    await assertRefused(get({}, await house.place({ host: null, vmState: 'building' })), 409);
  });

  it('test_not_implemented: 501 where the driver keeps nothing', async () => {
    whenTheHostSays(new ServiceError('UNIMPLEMENTED', 'nothing is kept'));
    await assertRefused(get(), 501);
  });

  it('test_get_console_output_not_available: 404', async () => {
    whenTheHostSays(new ServiceError('NOT_FOUND', 'Guest does not have a console available.'));
    await assertRefused(get(), 404);
  });

  it('test_get_text_console_instance_action: all that was printed; so does a real guest', async () => {
    await assertOutput({}, '0\n1\n2\n3\n4');
    const id = await house.boot('compute-1');
    for (const until = Date.now() + 10_000; ; ) {
      const { status, body } = await get({}, id);
      assert.equal(status, 200, JSON.stringify(body));
      if (/\S/.test(String(body['output']))) return;
      assert.ok(Date.now() < until, 'it printed nothing');
    }
  });

  it('test_get_console_output_with_tail: the last lines', () => assertOutput({ length: 3 }, '2\n3\n4'));
  it('test_get_console_output_with_none_length: null means all', () => assertOutput({ length: null }, '0\n1\n2\n3\n4'));
  it('test_get_console_output_with_length_as_str: a number as text', () => assertOutput({ length: '3' }, '2\n3\n4'));

  it('test_get_console_output_filtered_characters: control characters are left out, tab and newline are not', async () => {
    const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)).join('');
    const control = Array.from({ length: 32 }, (_, index) => String.fromCharCode(index)).join('');
    answer = () => `${printable}${control}`;
    await assertOutput({}, `${printable}\t\n`);
  });

  it("test_console_output_policy: for the project's own people and administrators; for others the server is not there", async () => {
    for (const token of ['demo:demo', 'another:demo', 'admin:admin']) assert.equal((await get({}, mocked, token)).status, 200, token);
    await assertRefused(get({}, mocked, 'other:other'), 404);
  });
});
