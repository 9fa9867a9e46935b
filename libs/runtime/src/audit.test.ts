import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AuditFile, openAudit } from './audit.ts';
import type { AuditFacts, OpenedAudit } from './audit.ts';
import { captureLog } from './fixtures/capture-log.ts';
import { silentLogger } from './logger.ts';
import { TestClock } from './test-clock.ts';

const SECRET = 'pLaNtEd-SeCrEt-0123456789';

describe('the audit', () => {
  const clock = new TestClock(new Date('2026-05-06T07:08:09.010Z'));
  const opened: OpenedAudit[] = [];
  let folder: string;

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'gatehouse-audit-'))));
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((audit) => audit.close()));
    rmSync(folder, { recursive: true });
  });

  function open(path: string, { log = silentLogger, isRequired = false } = {}): AuditFile {
    const audit = new AuditFile(path, { service: 'consoleauth', isRequired, clock, log });
    opened.push(audit);
    return audit;
  }

  const linesOf = (path: string) => readFileSync(path, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);

  it('refuses a file that cannot be appended to at the start, naming the setting and the reason', () => {
    writeFileSync(join(folder, 'plain'), '');
    mkdirSync(join(folder, 'folder'));
    const config = { auditRequired: false, dataDir: folder };
    for (const [auditFile, reason] of [[join(folder, 'plain', 'audit.jsonl'), /ENOTDIR|EEXIST/], [join(folder, 'folder'), /EISDIR/]] as const) {
      assert.throws(() => openAudit({ ...config, auditFile }, 'consoleauth', clock, silentLogger), (error: unknown) => {
        assert.match(String(error), /GATEHOUSE_AUDIT_FILE is .*cannot be appended to.*: set a file that can, or off/);
        assert.match(String(error), reason);
        return true;
      });
    }
  });

  it('stands in the data directory unless told, for its owner alone, or nowhere', async () => {
    const dataDir = join(folder, 'data');
    const audit = openAudit({ auditFile: null, auditRequired: false, dataDir }, 'consoleauth', clock, silentLogger);
    opened.push(audit);
    audit.write('authorized', { instanceUuid: 'i', userId: 'alice', host: 'h', port: 1 });
    const path = join(dataDir, 'audit.jsonl');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(linesOf(path), [{ time: '2026-05-06T07:08:09.010Z', event: 'authorized', service: 'consoleauth', instanceUuid: 'i', userId: 'alice', host: 'h', port: 1 }]);

    const off = openAudit({ auditFile: 'off', auditRequired: true, dataDir: join(folder, 'none') }, 'consoleauth', clock, silentLogger);
    off.write('authorized', {});
    off.check();
    await off.close();
    assert.equal(existsSync(join(folder, 'none')), false);
  });

  it('only ever appends: what stands in the file stays, also what others wrote', () => {
    const path = join(folder, 'audit.jsonl');
    writeFileSync(path, '{"event":"earlier"}\n');
    open(path).write('connected', { sessionId: 's' });
    open(path).write('ended', { sessionId: 's', seconds: 3, bytesIn: 1, bytesOut: 2 });
    assert.deepEqual(linesOf(path).map(({ event }) => event), ['earlier', 'connected', 'ended']);
  });

  it('goes on in a new file of its name when it is rotated, at the next line', () => {
    const path = join(folder, 'audit.jsonl');
    const audit = open(path);
    audit.write('connected', { sessionId: 'first' });
    renameSync(path, `${path}.1`);
    audit.write('connected', { sessionId: 'second' });
    renameSync(path, `${path}.2`);
    writeFileSync(path, '');
    audit.write('connected', { sessionId: 'third' });
    assert.deepEqual([`${path}.1`, `${path}.2`, path].map((file) => linesOf(file)[0]?.['sessionId']), ['first', 'second', 'third']);
  });

  it('leaves secrets out, whatever they are called and wherever they stand', () => {
    const path = join(folder, 'audit.jsonl');
    const careless = {
      token: SECRET, resumeGrant: SECRET, attachSecret: SECRET, accessUrl: `http://proxy/#token=${SECRET}`,
      problem: `http://proxy/vnc.html?token=${SECRET} was refused, offered token.${SECRET} and resume.${SECRET}`,
      reason: 'UNAUTHENTICATED',
    } as AuditFacts;
    open(path).write('refused', careless);
    assert.ok(!readFileSync(path, 'utf8').includes(SECRET), readFileSync(path, 'utf8'));
    assert.equal(linesOf(path)[0]?.['reason'], 'UNAUTHENTICATED');
  });

  it('holds whole lines when two processes write at once', async function () {
    this.timeout(60_000);
    const path = join(folder, 'audit.jsonl');
    const program = `
      import { AuditFile } from ${JSON.stringify(new URL('./audit.ts', import.meta.url).href)};
      import { systemClock } from ${JSON.stringify(new URL('./clock.ts', import.meta.url).href)};
      const audit = new AuditFile(process.argv[1], { service: process.argv[2], clock: systemClock, log: null });
      for (let line = 0; line < 2000; line += 1) audit.write('refused', { problem: process.argv[2].repeat(200), port: line });
      await audit.close();`;
    const writers = ['a', 'b'].map((name) => spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program, path, name], { stdio: ['ignore', 'ignore', 'inherit'] }));
    const codes = await Promise.all(writers.map(async (writer) => (await once(writer, 'exit'))[0] as number));
    assert.deepEqual(codes, [0, 0]);
    const lines = linesOf(path);
    for (const name of ['a', 'b']) {
      assert.deepEqual(lines.filter(({ service }) => service === name).map(({ port }) => port), Array.from({ length: 2000 }, (_, line) => line));
    }
  });

  describe('when the disk is full', () => {
    const FULL = '/dev/full';

    it('says so in the log, with the line itself and without secrets, and consoles go on', () => {
      const log = captureLog();
      const audit = open(FULL, { log: log.logger });
      audit.write('connected', { sessionId: 's', token: SECRET } as AuditFacts);
      audit.check();
      const [line] = log.lines();
      assert.equal(line?.['level'], 'error');
      assert.match(String(line?.['msg']), /audit line could not be written/);
      assert.match(JSON.stringify(line?.['err']), /ENOSPC/);
      assert.equal((line?.['audit'] as Record<string, unknown>)['sessionId'], 's');
      assert.ok(!log.text().includes(SECRET));
    });

    it('opens no new console where the audit is required', () => {
      const audit = open(FULL, { isRequired: true });
      audit.check();
      audit.write('ended', { sessionId: 's' });
      assert.throws(() => audit.check(), { code: 'UNAVAILABLE', message: /no console can be opened at the moment.*audit file cannot be written/ });
    });

    it('writes what waited, in order, as soon as it can, and lets consoles be opened again', () => {
      const path = join(folder, 'audit.jsonl');
      symlinkSync(FULL, path);
      const log = captureLog();
      const audit = open(path, { isRequired: true, log: log.logger });
      audit.write('connected', { sessionId: '1' });
      audit.write('ended', { sessionId: '1' });
      assert.throws(() => audit.check(), { code: 'UNAVAILABLE' });
      rmSync(path);
      audit.check();
      audit.write('connected', { sessionId: '2' });
      assert.deepEqual(linesOf(path).map(({ event, sessionId }) => `${String(event)} ${String(sessionId)}`), ['connected 1', 'ended 1', 'connected 2']);
      assert.match(log.text(), /can be written again/);
    });

    it('keeps a stated number of lines in memory, the youngest; the others are in the log', () => {
      const path = join(folder, 'audit.jsonl');
      symlinkSync(FULL, path);
      const audit = open(path);
      for (let line = 0; line < 1_003; line += 1) audit.write('refused', { port: line });
      rmSync(path);
      audit.write('refused', { port: 1_003 });
      const ports = linesOf(path).map(({ port }) => port);
      assert.deepEqual([ports.length, ports[0], ports.at(-1)], [1_001, 3, 1_003]);
    });
  });

  it('survives a folder that is taken away while it writes', () => {
    const path = join(folder, 'below', 'audit.jsonl');
    const log = captureLog();
    const audit = open(path, { log: log.logger });
    rmSync(join(folder, 'below'), { recursive: true });
    audit.write('connected', { sessionId: '1' });
    assert.match(log.text(), /ENOENT/);
    mkdirSync(join(folder, 'below'));
    audit.write('connected', { sessionId: '2' });
    assert.deepEqual(linesOf(path).map(({ sessionId }) => sessionId), ['1', '2']);
  });
});
