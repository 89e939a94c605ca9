import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';

describe('exports and retention, at the command line', () => {
  let server: TestServer;
  let cli: CommandLine;
  before(async () => {
    server = await startServer();
    cli = commandLine(server);
  });
  after(async () => {
    cli.close();
    await server.close();
  });
  const finding = async () => {
    const { findings } = JSON.parse((await cli('doctor', '--json')).out) as {
      findings: { check: string; status: string; message: string }[];
    };
    return findings.find(({ check }) => check === 'exports');
  };

  test('an exporter is made, tested, shown, changed and removed', async () => {
    assert.match((await cli('exports', 'list')).out, /exported nowhere/);
    assert.equal(await finding(), undefined);
    const made = await cli(
      'exports',
      'create',
      'siem',
      '--webhook',
      'https://localhost:1/x',
      '--format',
      'ocsf',
      '--type',
      'team.created',
    );
    assert.equal(made.code, 0, made.err);
    assert.match(made.out, /secret, which is shown once: whsec_/);
    assert.equal((await finding())?.status, 'ok');
    const tested = await cli('exports', 'test', 'siem');
    assert.equal(tested.code, 1);
    assert.match(tested.out, /no event yet/);
    await cli('teams', 'create', 'one');
    server.clock.advance(1000);
    await new Promise((done) => setTimeout(done, 50));
    await server.deps.consumers.settled();
    assert.match((await finding())?.message ?? '', /siem \(localhost:1 can't be connected to/);
    assert.match((await cli('exports', 'test', 'siem')).out, /Nothing was delivered to localhost:1/);
    assert.match((await cli('exports', 'show', 'siem')).out, /stays here/);
    const asked = await cli('exports', 'update', 'siem', '--personal');
    assert.match(asked.err, /What has left can’t be erased/);
    assert.match((await cli('exports', 'show', 'siem')).out, /stays here/);
    assert.match((await cli('exports', 'update', 'siem', '--personal', '--yes')).out, /goes out in plain text/);
    assert.match((await cli('people', 'create', 'Ada')).out, /Registered/);
    assert.match((await cli('people', 'erase', 'Ada', '--yes')).out, /gone to siem, and can not be recalled/);
    assert.equal((await cli('exports', 'retry', 'siem')).code, 0);
    assert.match((await cli('exports', 'remove', 'siem', '--yes')).out, /no more/);
    assert.notEqual((await cli('exports', 'show', 'siem')).code, 0);
  });

  test('what makes no sense is said', async () => {
    assert.match((await cli('exports', 'create', 'x')).err, /Say where to/);
    assert.match((await cli('exports', 'create', 'x', '--file', '--otlp', 'https://a.example/')).err, /one place/);
    assert.match(
      (await cli('exports', 'create', 'x', '--file')).err,
      /^--file writes files, and exports\.directory is not/m,
    );
    assert.match((await cli('exports', 'create', 'x', '--webhook', 'here')).err, /^The URL must /m);
    const typo = await cli('log', 'retention', 'set', 'acess.used', '--days', '90', '--yes');
    assert.match(typo.err, /no type of event "acess\.used".*access\.used/);
    assert.match(
      (await cli('log', 'retention', 'set', 'token.issued', '--days', '3', '--yes')).err,
      /^--days must be at least 8/m,
    );
    assert.match(
      (await cli('exports', 'create', 'x', '--syslog', 'a.example', '--ca', 'missing.pem')).err,
      /missing\.pem can't be read/,
    );
    assert.match((await cli('log', 'retention', 'set', 'team.created')).err, /Say one of/);
  });

  test('retention is shown and set', async () => {
    assert.match((await cli('log', 'retention', 'show')).out, /access\.used +400 +default/);
    assert.match(
      (await cli('log', 'retention', 'set', 'access.used', '--days', '90', '--yes')).out,
      /access\.used +90 +its own rule/,
    );
    const all = (await cli('log', 'retention', 'set', '*', '--days', '500', '--yes')).out;
    assert.match(all, /^\* +500 +the rule for all others$/m);
    assert.ok(all.split('\n').length < 8, all);
    assert.equal((await cli('log', 'retention', 'set', '*', '--default')).code, 0);
    assert.match((await cli('log', 'retention', 'set', 'access.used', '--forever')).out, /Everything is kept for ever/);
    assert.match((await cli('log', 'retention', 'set', 'access.used', '--default')).out, /400 +default/);
  });
});
