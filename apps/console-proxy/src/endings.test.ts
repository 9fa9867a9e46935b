import assert from 'node:assert/strict';
import { ENDINGS } from '@gatehouse/errors/endings';
import { ERRORS } from '@gatehouse/errors/error-table';

interface PageEndings {
  readonly ENDINGS: Readonly<Record<string, readonly [title: string, help: string, retry: string]>>;
  describeEnd(ending: { code: number; reason: string; wasOpen: boolean }): Record<'title' | 'reason' | 'help' | 'detail' | 'retry', string>;
  describeReturn(ending: { code: number }): string | null;
  mayGoOn(ending: { code: number }): boolean;
}

describe('what the pages say of an end', () => {
  let pages: PageEndings;
  before(async () => {
    pages = (await import(new URL('../web/endings.js', import.meta.url).href)) as PageEndings;
  });

  it('is known for every close code of ours, and for no other', () => {
    const ours = new Set([...Object.values(ENDINGS), ...Object.values(ERRORS)].map(({ close }) => String(close)));
    assert.deepEqual(Object.keys(pages.ENDINGS).sort(), [...ours].sort());
  });

  it('offers to reconnect where that can help, and nowhere else', () => {
    for (const [code, [title, help, retry]] of Object.entries(pages.ENDINGS)) {
      assert.ok(title.length > 5 && ['likely', 'perhaps', 'none'].includes(retry), code);
      if (retry === 'none') assert.doesNotMatch(help, /reconnect|try again/i, code);
    }
    // What is done to an instance revokes its links.
    for (const [reason, { close }] of Object.entries(ENDINGS)) {
      if (!reason.startsWith('instance_') && reason !== 'console_gone') continue;
      assert.equal(pages.ENDINGS[close]?.[2], 'none', reason);
      if (reason !== 'instance_deleted') assert.match(pages.ENDINGS[close]?.[1] ?? '', /new (link|one) where you got this/, reason);
    }
  });

  it('comes back by itself after a loss or a restart, and never after somebody ended it or took it over', () => {
    const returning = Object.keys(pages.ENDINGS).filter((code) => pages.describeReturn({ code: Number(code) }) !== null);
    assert.deepEqual(returning, ['1001', '1012', '4429', '4503', '4504']);
    assert.notEqual(pages.describeReturn({ code: 1006 }), null);
    assert.deepEqual([1006, 1012, 4023, 4500, 4022, 4025, 4401, 1000].map((code) => pages.mayGoOn({ code })), [true, true, true, true, false, false, false, false]);
  });

  it('tells a lost connection from a server that was never reached, and names a code that it does not know', () => {
    assert.equal(pages.describeEnd({ code: 1006, reason: '', wasOpen: true }).title, 'The connection was lost');
    assert.equal(pages.describeEnd({ code: 1006, reason: '', wasOpen: false }).title, 'The server cannot be reached');
    const unknown = pages.describeEnd({ code: 4999, reason: 'words of a newer server', wasOpen: true });
    assert.deepEqual([unknown.detail, unknown.reason], ['Code 4999', 'Words of a newer server.']);
  });
});
