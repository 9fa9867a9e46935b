import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { TestClock } from '@gatehouse/runtime/test-clock';
import { SessionTokens } from './session-tokens.ts';

const ID = '15b942e0-b17a-5deb-b468-acabe2a20ce2';
const OTHER = '2236ef75-e2e1-5c5b-a001-b22630201a25';

describe('a session token', () => {
  const clock = new TestClock();
  const tokens = new SessionTokens(['first', 'second'], clock);

  it('is refused where it is none: empty, cut, longer, of other letters, changed in any place', () => {
    const token = tokens.issue(ID, 60);
    const swap = (text: string, at: number): string => text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1);
    const changed = Array.from(token, (_, at) => swap(token, at));
    for (const bad of ['', 'x', token.slice(1), `${token}A`, `${token}=`, ` ${token}`, token.replace(/^./, 'ü'), 'A'.repeat(52), 'A'.repeat(100_000), ...changed]) {
      assert.equal(tokens.secondsLeft(ID, bad), null, bad.slice(0, 60));
    }
  });

  it('is refused for another instance, and by who has other secrets', () => {
    const token = tokens.issue(ID, 60);
    assert.equal(tokens.secondsLeft(OTHER, token), null);
    assert.equal(new SessionTokens(['third'], clock).secondsLeft(ID, token), null);
  });

  it('is not what the secret itself signs: a proxy\'s signature makes no token', () => {
    const head = Buffer.from(tokens.issue(ID, 60), 'base64url').subarray(0, 7);
    const proof = createHmac('sha256', 'first').update(head).update(ID).digest();
    assert.equal(tokens.secondsLeft(ID, Buffer.concat([head, proof]).toString('base64url')), null);
  });

  it('is good for as long as was asked, to the millisecond, and says how long', async () => {
    const own = new TestClock();
    const issuer = new SessionTokens(['first'], own);
    const token = issuer.issue(ID, 21_600);
    assert.equal(issuer.secondsLeft(ID, token), 21_600);
    await own.advance(21_599_999);
    assert.equal(issuer.secondsLeft(ID, token), 1);
    await own.advance(1);
    assert.equal(issuer.secondsLeft(ID, token), null);
  });

  it('is accepted by every process of the same secrets, in whatever order they have them', () => {
    assert.equal(new SessionTokens(['new', 'first'], clock).secondsLeft(ID, tokens.issue(ID, 60)), 60);
    assert.equal(tokens.secondsLeft(ID, new SessionTokens(['second'], clock).issue(ID, 60)), 60);
    assert.equal(tokens.secondsLeft(ID.toUpperCase(), tokens.issue(ID, 60)), 60);
  });

  it('is good at the process that issued it alone where there is no secret', () => {
    const alone = new SessionTokens([], clock);
    assert.equal(alone.secondsLeft(ID, alone.issue(ID, 5)), 5);
    assert.equal(new SessionTokens([], clock).secondsLeft(ID, alone.issue(ID, 5)), null);
  });
});
