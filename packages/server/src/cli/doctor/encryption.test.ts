import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { type ConfigOverrides, loadConfig } from '../../config.ts';
import { commandLine } from '../../testing/command-line.ts';
import { databases, startServer } from '../../testing/harness.ts';
import { checkEncryption } from './encryption.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-test-'));
after(() => rmSync(folder, { recursive: true }));
const key = 'ab'.repeat(32);
const file = path.join(folder, 'key');
writeFileSync(file, key, { mode: 0o600 });

const found = async (overrides: ConfigOverrides) => {
  const { status, message } = await checkEncryption(loadConfig({ cwd: folder, overrides }));
  return `${status}: ${message}`;
};

test('whether private keys lie encrypted, and whether they could', async () => {
  const proxied = { issuer: 'https://id.example.com', trusted_proxies: ['10.0.0.7'] };
  assert.match(await found({}), /^note: The private keys are not encrypted/, 'loopback is this machine alone');
  assert.match(await found(proxied), /^warn: The private keys are not encrypted/);
  assert.match(await found({ ...proxied, key_encryption: { file } }), /^ok: .*key_encryption\.file$/);
  assert.match(await found({ key_encryption: { key } }), /^ok: .*key_encryption\.key$/);
  assert.match(await found({ key_encryption: { command: ['cat', file] } }), /^ok: .*key_encryption\.command$/);
  assert.match(await found({ key_encryption: { command: ['cat', path.join(folder, 'x')] } }), /^fail: .*gave no key/);
  assert.match(await found({ key_encryption: { file: path.join(folder, 'x') } }), /^fail: .*can't be read/);
  chmodSync(file, 0o644);
  assert.match(await found({ key_encryption: { file } }), /^warn: Others on this machine may read/);
});

for (const database of databases) {
  test(`the doctor opens what lies in the database, on ${database}`, async (t) => {
    const server = await startServer({ database, config: { key_encryption: { key } } });
    t.after(() => server.close());
    const { data, database_url, issuer } = server.deps.config;
    const there = { data, database_url, issuer };
    const say = (key_encryption: ConfigOverrides['key_encryption']) => found({ ...there, key_encryption });
    assert.match(await say({ key }), /^ok: private keys lie encrypted, /);
    assert.match(await say({ key: 'cd'.repeat(32) }), /^fail: .*encrypted under another key/);
    assert.match(await say({}), /^fail: .*are encrypted, and no key is configured/);
    const cli = commandLine(server, {
      env: { BAILIWICK_DATA: data, BAILIWICK_ISSUER: issuer, BAILIWICK_DATABASE_URL: database_url },
    });
    t.after(() => cli.close());
    const { code, out } = await cli('doctor');
    assert.equal(code, 1, out);
    assert.match(out, /fail {2}encryption .*no key is configured.*\n.*will not start with this configuration/);
  });

  test(`a key that was configured and not yet used by a start, on ${database}`, async (t) => {
    const server = await startServer({ database });
    t.after(() => server.close());
    const { data, database_url, issuer } = server.deps.config;
    assert.match(
      await found({ data, database_url, issuer, key_encryption: { key } }),
      /^warn: \d+ private keys and secrets are not encrypted yet/,
    );
  });
}

test('a server elsewhere is asked how it keeps its keys', async (t) => {
  for (const [config, said] of [
    [{}, /note {2}encryption .*are not encrypted/],
    [{ key_encryption: { key } }, /ok {4}encryption .*the server keeps its private keys encrypted/],
  ] as const) {
    const server = await startServer({ config });
    t.after(() => server.close());
    const cli = commandLine(server);
    t.after(() => cli.close());
    const { out } = await cli('doctor');
    assert.match(out, said);
    assert.equal(out.split('  encryption  ').length, 2, 'once');
  }
});

test('the authority on the command line: shown, rotated, and said whether its keys are encrypted', async (t) => {
  const server = await startServer({ config: { key_encryption: { key } } });
  t.after(() => server.close());
  const cli = commandLine(server);
  t.after(() => cli.close());
  const { out } = await cli('ca', 'show');
  for (const part of ['encrypted in the database', 'number 1', 'root', 'intermediate', 'jwt_svid_key', 'signing']) {
    assert.ok(out.includes(part), out);
  }
  const pem = await cli('ca', 'show', '--pem');
  assert.equal(pem.out, await (await fetch(`${server.issuer}/spiffe/ca.pem`)).text());

  const soon = new Date(server.clock.now() + 26 * 3_600_000).toISOString();
  server.clock.advance(1000);
  const root = await cli.json<{ id: string; signs_from: string }>('ca', 'rotate', 'root');
  assert.equal(root.signs_from, new Date(Date.parse(soon) + 1000).toISOString());
  assert.deepEqual(await cli.json('ca', 'rotate', 'root'), root, 'one waits already');
  const again = (await cli('ca', 'rotate', 'root')).out;
  const [, named = '-'] = /^root (.+) is waiting already: nothing was made/.exec(again) ?? [];
  assert.ok((await cli('ca', 'show')).out.includes(named), again);
  await cli.json('ca', 'rotate', 'jwt-svid-key');
  const between = await cli.json<{ signs_from: string }>('ca', 'rotate');
  assert.equal(between.signs_from, new Date(server.clock.now()).toISOString());

  interface Shown {
    spiffe_sequence: number;
    authorities: { kind: string; state: string; id: string }[];
    jwt_svid_keys: { state: string }[];
  }
  const ca = await cli.json<Shown>('ca', 'show');
  assert.equal(ca.spiffe_sequence, 3, 'an intermediate is none of the bundle’s business');
  const states = (kind: string) => ca.authorities.filter((each) => each.kind === kind).map(({ state }) => state);
  assert.deepEqual(states('root'), ['signing', 'published']);
  assert.deepEqual(states('intermediate'), ['retiring', 'signing', 'published']);
  assert.deepEqual(
    ca.jwt_svid_keys.map(({ state }) => state),
    ['signing', 'published'],
  );
  const wrong = await cli('ca', 'rotate', 'everything');
  assert.notEqual(wrong.code, 0);
  const { items } = await server.admin<{ items: { type: string; target: string }[] }>('GET', '/events');
  const rotated = items.filter(({ type }) => type === 'authority.rotated');
  assert.equal(rotated.length, 3);
  assert.ok(rotated.some(({ target }) => target === root.id));
});
