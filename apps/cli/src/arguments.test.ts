import assert from 'node:assert/strict';
import { readCommand } from './arguments.ts';

describe('the command line', () => {
  it('refuses what it does not know in one line that says what there is', () => {
    for (const [words, expected] of [
      [['dbb'], /^there is no command 'dbb': there is db/],
      [['db', 'sync'], /^there is no command 'db sync': there is db online-data-migrations/],
      [['db', 'online-data-migrations', '--fast'], /^Unknown option '--fast'; see gatehouse/],
      [['db', 'online-data-migrations', '50'], /takes options alone, not '50'/],
      [['db', 'online-data-migrations', '--max-count'], /argument missing/],
      [['db', 'online-data-migrations', '--max-count', '7', '--retry-set-aside'], /tries all rows that were set aside, so it does not go with --max-count/],
      [['db\u001b[2J\n'], /'db\?\[2J\?'/],
    ] as const) {
      const command = readCommand(words);
      assert.equal(command.kind, 'usage', words.join(' '));
      const message = command.kind === 'usage' ? command.message : '';
      assert.match(message, expected);
      assert.doesNotMatch(message, /\n/);
    }
  });

  it('helps at every level', () => {
    for (const words of [[], ['--help'], ['-h'], ['help'], ['db'], ['db', '--help'], ['db', 'online-data-migrations', '--help']]) {
      const command = readCommand(words);
      assert.match(command.kind === 'help' ? command.text : '', /Usage: gatehouse /, words.join(' '));
    }
  });

  it('reads options, and the count as it was written', () => {
    const read = (...words: string[]) => {
      const command = readCommand(['db', ...words]);
      return command.kind === 'online-data-migrations' ? command.options : command;
    };
    const none = { maxCount: null, isDryRun: false, retriesSetAside: false, isJson: false };
    assert.deepEqual(read('online-data-migrations'), none);
    assert.deepEqual(read('online_data_migrations', '--max-count', '-2'), { ...none, maxCount: '-2' });
    assert.deepEqual(read('online-data-migrations', '--max-count=7', '--json'), { ...none, maxCount: '7', isJson: true });
    assert.deepEqual(read('online-data-migrations', '--max_count', '7', '--dry-run', '--retry-set-aside'), { ...none, maxCount: '7', isDryRun: true, retriesSetAside: true });
  });
});
