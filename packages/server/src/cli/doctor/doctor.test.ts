import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fakeClock, systemClock } from '../../lib/clock.ts';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { databases, startServer, type TestServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';
import type { Finding } from './finding.ts';
import { checkRuntime } from './local.ts';

/** The Date header of an answer is the machine's, so here everybody's is. */
const realClock = { ...systemClock, advance: () => assert.fail('it advances by itself') };

/** What is to be mended, as `status check`. */
async function complaints(cli: CommandLine): Promise<string[]> {
  const { out } = await cli('doctor', '--json');
  const { findings } = JSON.parse(out) as { findings: Finding[] };
  for (const { status, todo } of findings) assert.equal(todo === undefined, isFine(status));
  return findings.filter(({ status }) => !isFine(status)).map(({ status, check }) => `${status} ${check}`);
}

const isFine = (status: Finding['status']) => status === 'ok' || status === 'note';

/** The doctor where the server runs: same configuration, same data. */
async function patient(
  options: Parameters<typeof startServer>[0] = {},
): Promise<{ server: TestServer; cli: CommandLine; close(): Promise<void> }> {
  const server = await startServer({ clock: realClock, ...options });
  const { data, database_url, issuer } = server.deps.config;
  const env = { BAILIWICK_DATA: data, BAILIWICK_ISSUER: issuer, BAILIWICK_DATABASE_URL: database_url };
  const cli = commandLine(server, { env, now: realClock.now });
  const close = async () => {
    cli.close();
    await server.close();
  };
  return { server, cli, close };
}

for (const database of databases) {
  test(`a fresh server on ${database} has nothing to complain of`, async (t) => {
    const { cli, close } = await patient({ database });
    t.after(close);
    const { code, out } = await cli('doctor');
    assert.equal(code, 0, out);
    assert.match(out, /Everything is as it should be/);
    for (const part of ['runtime', 'durable', 'signing keys', 'answers and is ready'])
      assert.ok(out.includes(part), out);
  });
}

test('what will cause trouble in the registry is named, with what to do', async (t) => {
  const { server, cli, close } = await patient();
  t.after(close);
  await cli.json('resources', 'create', 'https://bare.example.com', '--name', 'bare', '--dangerously-bearer');
  await cli.json('agents', 'create', 'keyless', '--owner', 'operators');
  const soon = new Date(server.clock.now() + 5 * 86_400_000).toISOString();
  await cli.json('agents', 'create', 'ending', '--owner', 'operators', '--expires', soon, '--key-out', 'ending.json');
  await cli.json('agents', 'create', 'fading', '--owner', 'operators');
  await cli.json('credentials', 'add', 'fading', '--key-out', 'fading.json', '--expires', soon);
  assert.deepEqual((await complaints(cli)).toSorted(), [
    'warn agents',
    'warn bearer',
    'warn credentials',
    'warn guards',
    'warn keyless',
    'warn operations',
  ]);
  const { code, out } = await cli('doctor');
  assert.equal(code, 0, 'a warning breaks nothing');
  for (const part of ['keyless', 'ending', 'fading', 'bare', '→ bailiwick enrolment-token AGENT'])
    assert.ok(out.includes(part), out);
});

test('secrets, the exception that allows them, and what nobody uses', async (t) => {
  const clock = fakeClock(Date.UTC(2027, 0, 1));
  const until = '2027-03-31';
  const server = await startServer({ clock, config: { dangerously_client_secrets_until: until } });
  t.after(() => server.close());
  const env = { BAILIWICK_IDENTITY: 'operator.json', BAILIWICK_DANGEROUSLY_CLIENT_SECRETS_UNTIL: until };
  const cli = commandLine(server, { env });
  t.after(() => cli.close());
  cli.write('operator.json', JSON.stringify(server.operator));
  await cli.json('agents', 'create', 'legacy', '--owner', 'operators');
  const ids: string[] = [];
  for (const expires of ['60d', '85d']) {
    ids.push((await cli.json<{ id: string }>('credentials', 'add', 'legacy', '--secret', '--expires', expires)).id);
  }
  await cli('enrolment-token', 'legacy');
  await cli.json('agents', 'create', 'enrolling', '--owner', 'operators');
  await cli('enrolment-token', 'enrolling');
  await cli.json('agents', 'create', 'forgotten', '--owner', 'operators');
  const first = (await cli('doctor')).out;
  assert.match(first, /warn {2}exception .*until the end of 2027-03-31 \(90 d\)/);
  assert.match(first, /no credential, and no instance .*: forgotten\./, 'whoever enrols needs no key');
  for (const [index, id] of ids.entries()) {
    const end = ['2027-03-02', '2027-03-27'][index];
    assert.ok(first.includes(`legacy ${id}, until ${end} 00:00:00Z`), first);
  }
  assert.doesNotMatch(first, /unused/);
  clock.advance(50 * 86_400_000);
  assert.match((await cli('doctor')).out, /warn {2}unused .*legacy \(secret, 50 d\), legacy \(secret, 50 d\)/);
  clock.advance(40 * 86_400_000);
  const last = (await cli('doctor')).out;
  assert.match(last, /warn {2}exception .*were allowed until 2027-03-31/);
  assert.doesNotMatch(last, /warn {2}secrets/, 'those have ended by themselves');
});

test('a narrow identity hears which scope it lacks, and nothing is broken', async (t) => {
  const { server, cli, close } = await patient();
  t.after(close);
  const admin = `${server.deps.config.issuer}/admin`;
  for (const [name, scopes] of [
    ['one', 'agents:read'],
    ['other', 'roles:read'],
  ] as const) {
    await cli.json('roles', 'create', `sees-${name}`, '--permission', `${admin}=${scopes}`);
    const about = ['--owner', 'operators', '--role', `sees-${name}`, '--resource', admin, '--key-out', `${name}.json`];
    await cli.json('agents', 'create', name, ...about);
  }
  const { code, out } = await cli('doctor', '--identity', 'one.json');
  assert.equal(code, 0, out);
  for (const check of ['owners', 'credentials', 'resources']) {
    assert.match(
      out,
      new RegExp(`note {2}${check} .*not this identity's to see: .*${check === 'owners' ? 'teams' : check}:read`),
    );
  }
  const other = await cli('doctor', '--identity', 'other.json');
  assert.equal(other.code, 0, other.out);
  assert.match(other.out, /ok {4}identity .*accepted[\s\S]*note {2}agents .*agents:read/);
});

test('keys that others can read are failures', async (t) => {
  const { server, cli, close } = await patient();
  t.after(close);
  chmodSync(path.join(server.deps.config.data, 'operator.json'), 0o644);
  chmodSync(path.join(server.deps.config.data, 'bailiwick.db'), 0o640);
  const found = await complaints(cli);
  assert.ok(found.includes('fail key file') && found.includes('fail data'), found.join());
  assert.equal((await cli('doctor')).code, exitCodes.failed.code);
});

test('a server that is away, a key that is not accepted, a configuration that is wrong', async (t) => {
  const { server, cli, close } = await patient();
  t.after(close);
  const identity = (name: string, change: object) => cli.write(name, JSON.stringify({ ...server.operator, ...change }));

  const away = commandLine(undefined, {
    env: { BAILIWICK_IDENTITY: identity('away.json', { issuer: 'http://localhost:1' }) },
  });
  assert.deepEqual(await complaints(away), ['warn data', 'fail server']);

  const unknown = { BAILIWICK_IDENTITY: identity('unknown.json', { client_id: 'agt_00000000000000000000000000' }) };
  const stranger = commandLine(undefined, { env: unknown, now: realClock.now });
  assert.deepEqual(await complaints(stranger), ['warn data', 'fail identity']);

  const wrong = commandLine(undefined, { env: { BAILIWICK_PORT: 'x', BAILIWICK_HOTS: 'y' } });
  const { code, out } = await wrong('doctor');
  assert.equal(code, exitCodes.failed.code);
  assert.match(out, /BAILIWICK_HOTS/);
  assert.match(out, /port is "x"/);

  const late = commandLine(undefined, {
    env: { BAILIWICK_IDENTITY: identity('late.json', {}) },
    now: () => realClock.now() + 120_000,
  });
  assert.ok((await complaints(late)).includes('fail clock'));
  for (const each of [away, stranger, wrong, late]) each.close();
});

test('TLS files that cannot be used are found before the server is started', async () => {
  const cli = commandLine(undefined, {
    env: { BAILIWICK_TLS_CERT: 'no.crt', BAILIWICK_TLS_KEY: 'no.key', BAILIWICK_DATA: 'data' },
  });
  mkdirSync(path.join(cli.folder, 'data'), { mode: 0o755 });
  assert.deepEqual(await complaints(cli), ['fail transport', 'warn data', 'fail key file', 'fail server']);
  cli.close();
});

test('the runtime', () => {
  assert.deepEqual(
    ['22.1.0', '24.0.0', '26.10.0'].map((version) => checkRuntime(version).status),
    ['fail', 'ok', 'ok'],
  );
});
