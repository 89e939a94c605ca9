/** The benchmark runs, and its last line has exactly the agreed fields. What the figures are is not for a test to say. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const main = fileURLToPath(new URL('main.ts', import.meta.url));
const execArgv = process.execArgv.filter((flag) => flag.startsWith('--conditions') || flag.startsWith('-C'));

async function bench(...args: string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [...execArgv, main, ...args]);
  return stdout.trimEnd().split('\n');
}

test('bench token --json ends with one line of JSON, every figure above zero', async () => {
  const lines = await bench('token', '--json', '--rounds', '1', '--count', '60');
  assert.equal(lines.length, 1);
  const report = JSON.parse(lines[0] as string);
  assert.deepEqual(Object.keys(report), ['bench', 'profiles', 'peer', 'node']);
  assert.equal(report.bench, 'token');
  assert.match(report.peer, /^oidc-provider@\d/);
  assert.equal(report.node, process.version);
  const names = [
    'cpu_us_per_token',
    'floor_us',
    'ratio_to_floor',
    'peer_cpu_us_per_token',
    'times_peer',
    'tokens_per_s',
  ];
  assert.deepEqual(Object.keys(report.profiles), ['dpop', 'bearer', 'mtls']);
  for (const profile of ['dpop', 'bearer', 'mtls']) {
    assert.deepEqual(Object.keys(report.profiles[profile]), names);
    for (const name of names) assert.ok(report.profiles[profile][name] > 0, `${profile}.${name}`);
  }
});

test('bench exchange --json ends with one line of JSON, every figure above zero', async () => {
  const lines = await bench('exchange', '--json', '--rounds', '1', '--count', '60');
  assert.equal(lines.length, 1);
  const { bench: name, hops, of_mandate, ...figures } = JSON.parse(lines[0] as string);
  assert.deepEqual([name, hops], ['exchange', 3]);
  for (const each of [figures, of_mandate]) {
    assert.deepEqual(Object.keys(each), ['cpu_us_per_exchange', 'floor_us', 'ratio_to_floor']);
    for (const [field, value] of Object.entries(each)) assert.ok((value as number) > 0, field);
  }
});

test('bench guard --json ends with one line of JSON, every figure above zero', async () => {
  const lines = await bench('guard', '--json', '--rounds', '1', '--count', '60');
  assert.equal(lines.length, 1);
  const { bench: name, ...figures } = JSON.parse(lines[0] as string);
  assert.equal(name, 'guard');
  assert.deepEqual(Object.keys(figures), [
    'bearer_warm_us',
    'jose_verify_us',
    'warm_times_jose',
    'dpop_warm_us',
    'es256_verify_us',
    'dpop_warm_ratio',
  ]);
  for (const [field, value] of Object.entries(figures)) assert.ok((value as number) > 0, field);
});

test('bench enrol --json ends with one line of JSON, every figure above zero; a past is compared if asked for', async () => {
  const fields = ['p50_ms', 'p99_ms', 'cpu_us_per_enrolment', 'svid_per_s_per_core'];
  const [line, ...more] = await bench('enrol', '--json', '--count', '40', '--rounds', '1', '--past', '1000');
  assert.deepEqual(more, []);
  const { bench: name, past, ...figures } = JSON.parse(line as string);
  assert.equal(name, 'enrol');
  assert.deepEqual(Object.keys(figures), fields);
  assert.equal(past.instances, 1000);
  for (const [field, value] of Object.entries({ ...figures, ...past })) assert.ok((value as number) > 0, field);
  const [alone] = await bench('enrol', '--json', '--count', '20');
  assert.deepEqual(Object.keys(JSON.parse(alone as string)), ['bench', ...fields]);
});

test('bench policy --json ends with one line of JSON, every figure above zero', async () => {
  const lines = await bench('policy', '--json', '--rounds', '1', '--count', '200');
  assert.equal(lines.length, 1);
  const { bench: name, ...figures } = JSON.parse(lines[0] as string);
  assert.equal(name, 'policy');
  assert.deepEqual(Object.keys(figures), ['policies', 'agents', 'p50_us', 'p99_us', 'cold_us', 'hit_rate']);
  assert.deepEqual([figures.policies, figures.agents], [200, 10_000]);
  assert.ok(figures.hit_rate <= 1);
  for (const [field, value] of Object.entries(figures)) assert.ok((value as number) > 0, field);
});

test('bench events --json ends with one line of JSON, every figure above zero', async () => {
  const lines = await bench('events', '--json', '--rows', '3000', '--count', '60');
  assert.equal(lines.length, 1);
  const { bench: name, ...figures } = JSON.parse(lines[0] as string);
  assert.equal(name, 'events');
  assert.deepEqual(Object.keys(figures), ['rows', 'page_p99_ms', 'trace_p99_ms', 'append_us']);
  assert.equal(figures.rows, 3000);
  for (const [field, value] of Object.entries(figures)) assert.ok((value as number) > 0, field);
});

test('bench revocation --json ends with two lines of JSON: guards that are well, and some that hang', async () => {
  const lines = await bench('revocation', '--json', '--guards', '4', '--count', '3');
  assert.equal(lines.length, 2);
  const [healthy, hanging] = lines.map((line) => JSON.parse(line));
  const fields = ['revocations', 'ack_p50_ms', 'ack_p99_ms', 'accepted_after_ack'];
  assert.deepEqual(Object.keys(healthy), ['bench', 'guards', ...fields]);
  assert.deepEqual(Object.keys(hanging), ['bench', 'guards', 'hanging', 'lease_ms', ...fields]);
  for (const run of [healthy, hanging]) {
    assert.deepEqual([run.bench, run.guards, run.revocations, run.accepted_after_ack], ['revocation', 4, 3, 0]);
    assert.ok(run.ack_p50_ms > 0 && run.ack_p99_ms >= run.ack_p50_ms);
  }
  assert.deepEqual([hanging.hanging, hanging.lease_ms], [2, 2000]);
});

test('bench revocation --ends --json: tokens are issued meanwhile, and nothing that was ended is accepted', async () => {
  const [line = ''] = (await bench('revocation', '--ends', '--json', '--count', '2')).slice(-1);
  const { bench: name, ...figures } = JSON.parse(line);
  assert.equal(name, 'revocation-ends');
  assert.deepEqual([figures.seconds, figures.accepted_after_ack], [2, 0]);
  assert.ok(figures.ends_per_s > 0 && figures.issued_per_s > 0, line);
  assert.ok(figures.guard_entries <= figures.guard_capacity, line);
});

test('without --json it prints a table, and without knowing what to measure how to use it', async () => {
  const table = await bench('guard', '--rounds', '1', '--count', '60');
  assert.ok(table.some((line) => /^bare ES256 verify +\d/.test(line)));
  await assert.rejects(bench(), (error: { code: number; stderr: string }) => {
    assert.equal(error.code, 2);
    assert.match(error.stderr, /^Usage: npm run -s bench/);
    return true;
  });
});
