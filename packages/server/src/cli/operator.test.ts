import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { commandLine } from '../testing/command-line.ts';
import { databases, startServer } from '../testing/harness.ts';
import { exitCodes } from './errors.ts';

for (const database of databases) {
  test(`operator, on ${database}: rotate replaces the key, and the old one opens nothing`, async (t) => {
    const server = await startServer({ database });
    t.after(() => server.close());
    const cli = commandLine(server);
    t.after(() => cli.close());
    const file = path.join(cli.folder, 'operator.json');
    const old = cli.write('old.json', readFileSync(file, 'utf8'));

    const { code, err } = await cli('operator', 'rotate', '--alg', 'EdDSA');
    assert.equal(code, 0, err);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(!existsSync(`${file}.new`));
    assert.equal((await cli('agents', 'list')).code, 0);
    assert.equal((await cli('agents', 'list', '--identity', old)).code, exitCodes.refused.code);
    const shown = await cli.json<{ file: string; credential: { alg: string } }>('operator', 'show');
    assert.deepEqual([shown.file, shown.credential.alg], [file, 'EdDSA']);
  });

  test(`operator, on ${database}: who holds the data gets in again, while the server runs`, async (t) => {
    const server = await startServer({ database });
    t.after(() => server.close());
    const { data, database_url, issuer } = server.deps.config;
    const env = { BAILIWICK_DATA: data, BAILIWICK_ISSUER: issuer, BAILIWICK_DATABASE_URL: database_url };
    const cli = commandLine(server, { env });
    t.after(() => cli.close());
    const stolen = cli.write('stolen.json', JSON.stringify(server.operator));

    const asked = await cli('operator', 'recover');
    assert.equal(asked.code, exitCodes.usage.code);
    assert.match(asked.err, /Add --yes/);

    const { code, err, out } = await cli('operator', 'recover', '--end-others', '--yes');
    assert.equal(code, 0, err);
    const [, kept = ''] = /file of before is kept as (\S+): remove it/.exec(out) ?? [];
    assert.deepEqual(JSON.parse(readFileSync(kept, 'utf8')), server.operator, 'what lies beside the new one is named');
    assert.equal((await cli('agents', 'list')).code, 0);
    assert.equal((await cli('agents', 'list', '--identity', stolen)).code, exitCodes.refused.code);
    const log = await cli('events', 'list', '--type', 'operator.recovered', '--json');
    assert.equal(log.out.trimEnd().split('\n').length, 1);
  });
}

test('recover in a wrong folder makes nothing there, and says where it looked', async () => {
  const cli = commandLine();
  const { code, err } = await cli('operator', 'recover', '--yes');
  assert.equal(code, exitCodes.usage.code);
  const data = path.join(cli.folder, 'data');
  assert.ok(err.includes(data) && err.includes('BAILIWICK_DATA'), err);
  await cli('doctor');
  await cli('agents', 'list');
  assert.ok(!existsSync(data));
  cli.close();
});

test('recover under another issuer than the data’s is refused, and the key file stays as it is', async (t) => {
  const server = await startServer();
  t.after(() => server.close());
  const { data, issuer } = server.deps.config;
  const cli = commandLine(server, { env: { BAILIWICK_DATA: data, BAILIWICK_ISSUER: 'http://localhost:4711' } });
  t.after(() => cli.close());
  const before = readFileSync(path.join(data, 'operator.json'), 'utf8');
  const { code, err } = await cli('operator', 'recover', '--yes');
  assert.equal(code, exitCodes.failed.code);
  assert.ok(err.includes(`BAILIWICK_ISSUER=${issuer}`), err);
  assert.equal(readFileSync(path.join(data, 'operator.json'), 'utf8'), before);
});
