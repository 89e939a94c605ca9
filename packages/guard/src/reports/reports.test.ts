import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { until } from '../../../server/src/testing/until.ts';
import { createGuard, type GuardOptions } from '../index.ts';
import { reportWorld, temporaryFolder } from '../testing/report-world.ts';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const hour = 3_600_000;

/** All files below a folder, by name. */
function filesIn(folder: string, ending = ''): string[] {
  const names = readdirSync(folder, { recursive: true }) as string[];
  return names
    .map((name) => path.join(folder, name))
    .filter((file) => statSync(file).isFile() && file.endsWith(ending));
}

suite('reports of decisions', () => {
  test('a use is reported: who, by which operation, and no parameter of its path', async () => {
    const { guard, agent, tick, ofType, fake } = await reportWorld();
    const request = await agent.request('GET', '/tickets/4711');
    const headers = { ...request.headers, traceparent: [traceparent] };
    const decision = await guard.decide({ ...request, headers });
    assert.ok(decision.allowed);
    assert.equal(decision.caller.trace, traceparent);
    await tick();
    const [report] = ofType('access.used');
    const { id, jti, ...rest } = report ?? {};
    assert.match(String(id), /^[\w-]{22}\.0$/);
    assert.ok(jti);
    assert.deepEqual(rest, {
      type: 'access.used',
      at: new Date(fake.clock.now()).toISOString(),
      outcome: 'allowed',
      status: 200,
      agent: 'agt_reader',
      organization: 'org_default',
      operation: 'read ticket',
      method: 'GET',
      path: '/tickets/{id}',
      address: '192.0.2.7',
      trace: traceparent,
      mode: 'offline',
    });
    assert.ok(!JSON.stringify(report).includes('4711'));
    await guard.close();
  });

  test('instance, task and chain are told; addresses are not where that was asked for', async () => {
    const { guard, agent, tick, ofType } = await reportWorld({ reports: { address: false } });
    const claims = {
      instance: 'ins_1',
      task: { id: 'tsk_1', workflow: 'refund' },
      act: { sub: 'spiffe://id.example/default/a', act: { sub: 'spiffe://id.example/default/b' } },
    };
    await guard.decide(await agent.request('GET', '/tickets', { claims }));
    await tick();
    const [report] = ofType('access.used') as Record<string, unknown>[];
    assert.deepEqual(
      [report?.instance, report?.task, report?.act, report?.address],
      ['ins_1', 'tsk_1', ['spiffe://id.example/default/a', 'spiffe://id.example/default/b'], undefined],
    );
    await guard.close();
  });

  test('a refusal of a good token is told with its kind and reason', async () => {
    const { guard, use, tick, ofType } = await reportWorld();
    await use(1, 'DELETE', '/tickets/purge');
    await use(1, 'GET', '/elsewhere/4711');
    await tick();
    const [beyond, unlisted] = ofType('access.used') as Record<string, unknown>[];
    assert.deepEqual(
      [beyond?.outcome, beyond?.status, beyond?.code, beyond?.reason, beyond?.operation],
      ['refused', 403, 'insufficient_scope', 'missing tickets:purge', 'purge'],
    );
    assert.deepEqual(
      [unlisted?.code, unlisted?.path, unlisted?.operation],
      ['operation_not_listed', undefined, undefined],
    );
    assert.ok(!JSON.stringify(unlisted).includes('4711'));
    await guard.close();
  });

  test('strangers are counted by minute and kind, and one report tells of them', async () => {
    const { guard, agent, fake, tick, ofType } = await reportWorld();
    const request = await agent.request();
    for (let i = 0; i < 30; i++) await guard.decide({ ...request, headers: {} });
    for (let i = 0; i < 5; i++) {
      await guard.decide({ ...request, headers: { authorization: ['DPoP nonsense'], dpop: ['nonsense'] } });
    }
    await tick();
    assert.equal(ofType('access.unproven').length, 0, 'the minute isn’t over');
    fake.clock.advance(60_000);
    await tick();
    const [summary, ...others] = ofType('access.unproven') as Record<string, unknown>[];
    assert.deepEqual([summary?.counts, others.length], [{ no_credentials: 30, invalid_token: 5 }, 0]);
    assert.equal(ofType('access.used').length, 0);
    await guard.close();
  });

  test('switched off, nothing is sent', async () => {
    const { guard, use, tick, batches, fake } = await reportWorld({ reports: false });
    await use();
    await tick();
    await guard.close();
    assert.deepEqual([batches.length, fake.asked['/events']], [0, undefined]);
  });

  test('what is left is sent when the guard is closed', async () => {
    const { guard, use, ofType } = await reportWorld();
    await use(3);
    await guard.close();
    assert.equal(ofType('access.used').length, 3);
    await guard.close();
  });

  test('500 travel at once, without waiting for their time', async () => {
    const { guard, use, batches, ofType } = await reportWorld();
    await use(500);
    await until(
      () => ofType('access.used').length,
      (arrived) => arrived === 500,
    );
    assert.equal(batches.length, 1);
    await guard.close();
  });
});

suite('while the identity provider is away', () => {
  test('reports wait, pauses grow, and each arrives once', async () => {
    const { guard, use, tick, fake, ofType, batches } = await reportWorld();
    fake.away = new Set(['/events']);
    await use(3);
    for (let i = 0; i < 5; i++) await tick();
    assert.equal(fake.asked['/events'], 1, 'it isn’t asked again at once');
    fake.clock.advance(hour);
    fake.away = false;
    await tick();
    await tick();
    assert.deepEqual([ofType('access.used').length, batches.length], [3, 1]);
    await guard.close();
  });

  test('an answer that is lost is asked for again, with the same ids', async () => {
    const { guard, use, tick, fake, events, batches, taken } = await reportWorld();
    events.lost = true;
    await use(2);
    await tick();
    events.lost = false;
    fake.clock.advance(hour);
    await tick();
    assert.equal(batches.length, 2);
    assert.deepEqual(batches[0], batches[1]);
    assert.equal(taken.size, 2);
    await guard.close();
  });

  test('memory is bounded: what is kept stays, refusals fill half, and what was lost is told', async () => {
    const { guard, use, tick, fake, ofType } = await reportWorld({ reports: { maxMemory: 64 * 1024 } });
    fake.away = new Set(['/events']);
    await use(150, 'DELETE', '/tickets/purge');
    await use(150, 'GET', '/tickets/17');
    await tick();
    fake.away = false;
    fake.clock.advance(hour);
    await tick();
    const reports = ofType('access.used');
    const refused = reports.filter(({ outcome }) => outcome === 'refused').length;
    const allowed = reports.length - refused;
    assert.ok(refused > 50 && refused < 110, `${refused} refusals fit into half`);
    assert.ok(allowed >= 90 && allowed < 150, `${allowed} allowed ones into the rest`);
    const bytes = reports.reduce((sum, report) => sum + JSON.stringify(report).length + 1, 0);
    assert.ok(bytes <= 64 * 1024, `${bytes}`);
    const [lost] = ofType('access.unreported') as Record<string, unknown>[];
    assert.deepEqual(lost?.counts, { refused: 150 - refused, allowed: 150 - allowed });
    assert.deepEqual(lost?.causes, { full: 300 - reports.length });
    await guard.close();
  });

  test('what is a week old is lost, and told', async () => {
    const { guard, use, tick, fake, ofType } = await reportWorld();
    fake.away = new Set(['/events']);
    await use(2);
    await tick();
    fake.clock.advance(7 * 24 * hour);
    fake.away = false;
    await use(1);
    await tick();
    assert.equal(ofType('access.used').length, 1);
    const [lost] = ofType('access.unreported') as Record<string, unknown>[];
    assert.deepEqual([lost?.counts, lost?.causes], [{ allowed: 2 }, { expired: 2 }]);
    await guard.close();
  });

  test('a report that the server refuses for good is lost alone, said and told', async () => {
    const { guard, use, tick, events, ofType, problems } = await reportWorld();
    events.refuse = ({ outcome }) => (outcome === 'refused' ? 'no_such_token' : undefined);
    await use(1, 'DELETE', '/tickets/purge');
    await use(2);
    await tick();
    assert.equal(ofType('access.used').length, 2);
    const [lost] = ofType('access.unreported') as Record<string, unknown>[];
    assert.deepEqual([lost?.counts, lost?.causes], [{ refused: 1 }, { refused: 1 }]);
    assert.ok(problems.some((problem) => problem.includes('no_such_token')));
    await guard.close();
  });

  test('what is yet to come by the server’s clock waits until it takes it', async () => {
    const { guard, use, tick, events, ofType, fake } = await reportWorld();
    events.refuse = () => 'in_the_future';
    await use(2);
    await tick();
    assert.equal(ofType('access.unreported').length, 0);
    events.refuse = undefined;
    fake.clock.advance(2 * 60_000);
    await tick();
    assert.equal(new Set(ofType('access.used').map(({ id }) => id)).size, 2);
    assert.equal(ofType('access.unreported').length, 0, 'nothing is lost');
    await guard.close();
  });

  test('a batch that can’t be read is sent in halves, until what can’t is alone', async () => {
    const { guard, use, tick, events, ofType, batches } = await reportWorld();
    events.status = 400;
    await use(4);
    await tick();
    assert.deepEqual(
      batches.map(({ length }) => length),
      [4, 2, 1, 1, 2, 1, 1, 1],
    );
    delete events.status;
    await use(1);
    await tick();
    assert.equal(ofType('access.used').length, 1);
    await guard.close();
  });

  for (const status of [401, 403, 404, 429, 500, 503]) {
    test(`a ${status} loses nothing`, async () => {
      const { guard, use, tick, fake, events, ofType } = await reportWorld();
      events.status = status;
      await use(2);
      await tick();
      delete events.status;
      fake.clock.advance(hour);
      await tick();
      assert.deepEqual([ofType('access.used').length, ofType('access.unreported').length], [2, 0]);
      await guard.close();
    });
  }
});

suite('on disk', () => {
  const onDisk = (directory: string, more: object = {}): Partial<GuardOptions> => ({ reports: { directory, ...more } });

  test('reports outlive the process, for their owner alone, and leave nothing behind', async () => {
    const { folder, remove } = temporaryFolder();
    const before = await reportWorld(onDisk(folder));
    before.fake.away = new Set(['/events']);
    await before.use(3);
    await before.tick();
    const [file] = filesIn(folder, '.jsonl');
    assert.equal(readFileSync(String(file), 'utf8').split('\n').length, 4);
    for (const each of filesIn(folder)) assert.equal(statSync(each).mode & 0o777, 0o600, each);
    assert.equal(statSync(path.dirname(String(file))).mode & 0o777, 0o700);
    await before.guard.close();
    before.fake.away = false;
    const { guard, tick, ofType } = await reportWorld(onDisk(folder), before);
    await tick();
    await tick();
    assert.equal(ofType('access.used').length, 3);
    await guard.close();
    assert.deepEqual(filesIn(folder), []);
    remove();
  });

  test('what a crash left of the last line is counted, the rest arrives', async () => {
    const { folder, remove } = temporaryFolder();
    const before = await reportWorld(onDisk(folder));
    before.fake.away = new Set(['/events']);
    await before.use(2);
    await before.tick();
    await before.guard.close();
    const [file] = filesIn(folder, '.jsonl');
    const whole = readFileSync(String(file), 'utf8');
    appendFileSync(String(file), whole.slice(0, 40));
    before.fake.away = false;
    const { guard, tick, ofType } = await reportWorld(onDisk(folder), before);
    await tick();
    await tick();
    assert.equal(ofType('access.used').length, 2);
    const [lost] = ofType('access.unreported') as Record<string, unknown>[];
    assert.deepEqual([lost?.counts, lost?.causes], [{ unknown: 1 }, { unreadable: 1 }]);
    await guard.close();
    remove();
  });

  test('two at once write files of their own, and neither touches the other’s while it lives', async () => {
    const { folder, remove } = temporaryFolder();
    const one = await reportWorld(onDisk(folder));
    one.fake.away = new Set(['/events']);
    await one.use(2);
    await one.tick();
    const two = await reportWorld(onDisk(folder), { fake: one.fake, taken: one.taken });
    await two.use(1);
    await two.tick();
    assert.equal(filesIn(folder, '.lock').length, 2);
    assert.equal(filesIn(folder, '.jsonl').length, 2);
    one.fake.away = false;
    one.fake.clock.advance(hour);
    await two.tick();
    assert.equal(two.ofType('access.used').length, 1, 'its own alone');
    one.fake.away = true;
    await one.guard.close();
    one.fake.away = false;
    one.fake.clock.advance(hour);
    await two.tick();
    assert.equal(two.ofType('access.used').length, 3, 'and those of the one that is gone');
    await two.guard.close();
    assert.deepEqual(filesIn(folder), []);
    remove();
  });

  test('guards of another resource leave them alone', async () => {
    const { folder, remove } = temporaryFolder();
    const one = await reportWorld(onDisk(folder));
    one.fake.away = new Set(['/events']);
    await one.use(2);
    await one.guard.close();
    one.fake.away = false;
    const other = await reportWorld({ ...onDisk(folder), resource: 'https://other.example' }, one);
    await other.tick();
    assert.equal(other.ofType('access.used').length, 0);
    await other.guard.close();
    assert.equal(filesIn(folder, '.jsonl').length, 1);
    remove();
  });

  test('the disk is bounded, and what was lost is told', async () => {
    const { folder, remove } = temporaryFolder();
    const { guard, use, tick, fake, ofType, agent } = await reportWorld(onDisk(folder, { maxBytes: 1024 * 1024 }));
    fake.away = new Set(['/events']);
    const claims = { act: { sub: `spiffe://id.example/${'x'.repeat(1900)}` } };
    for (let i = 0; i < 600; i++) await guard.decide(await agent.request('GET', '/tickets', { claims }));
    await tick();
    const bytes = filesIn(folder, '.jsonl').reduce((sum, file) => sum + statSync(file).size, 0);
    assert.ok(bytes <= 1024 * 1024 && bytes > 900 * 1024, `${bytes}`);
    fake.away = false;
    fake.clock.advance(hour);
    await use(1);
    await tick();
    await tick();
    const arrived = ofType('access.used').length;
    const [lost] = ofType('access.unreported') as { counts?: Record<string, number> }[];
    assert.equal((lost?.counts?.allowed ?? 0) + arrived, 601);
    await guard.close();
    remove();
  });

  test('a folder that can’t be written to is said; reports go from memory', async () => {
    const { folder, remove } = temporaryFolder();
    const file = path.join(folder, 'a-file');
    writeFileSync(file, '');
    const { guard, use, tick, ofType, problems } = await reportWorld(onDisk(file));
    await use(2);
    await tick();
    assert.equal(ofType('access.used').length, 2);
    assert.ok(problems.some((problem) => problem.includes("can't be written")));
    await guard.close();
    chmodSync(folder, 0o700);
    remove();
  });

  test('a process that is killed leaves what it had written; the next sends it, once', async () => {
    const { folder, remove } = temporaryFolder();
    const child = fork(new URL('../testing/reporting-process.ts', import.meta.url), [folder], {
      execArgv: ['--conditions=bailiwick-source'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const [wrote] = (await once(child, 'message')) as [number];
    child.kill('SIGKILL');
    await once(child, 'exit');
    const { guard, tick, ofType } = await reportWorld(onDisk(folder));
    await tick();
    await tick();
    assert.equal(ofType('access.used').length, wrote);
    await guard.close();
    assert.ok(!existsSync(path.join(folder, 'nothing')) && filesIn(folder).length === 0);
    remove();
  });
});

suite('the option', () => {
  const rejections: [what: string, options: Partial<GuardOptions>, message: RegExp][] = [
    ['an unknown member', { reports: { folder: 'x' } as never }, /reports knows no member "folder"/],
    ['no folder', { reports: { directory: '' } }, /reports.directory/],
    ['too little memory', { reports: { maxMemory: 1 } }, /reports.maxMemory/],
    ['too little disk', { reports: { maxBytes: 1 } }, /reports.maxBytes/],
    ['no time', { reports: { flushMs: 0 } }, /reports.flushMs/],
    ['an address that is one', { reports: { address: '192.0.2.7' } as never }, /reports.address/],
    ['nobody to tell', { reports: { flushMs: 100 }, credential: undefined as never }, /reports need a credential/],
  ];
  for (const [what, more, message] of rejections) {
    test(`refuses ${what}`, async () => {
      const { fake } = await reportWorld();
      assert.throws(
        () => createGuard(fake.options({ mode: 'offline', ...more, issuer: 'https://id.example' })),
        message,
      );
    });
  }
});
