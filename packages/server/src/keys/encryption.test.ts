import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { openDeps } from '../app.ts';
import { type ConfigOverrides, loadConfig } from '../config.ts';
import type { Deps } from '../deps.ts';
import { encryptedAtRest, plainAtRest, WrongKey } from '../lib/at-rest.ts';
import { fakeClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { systemRandom } from '../lib/random.ts';
import { asOf } from '../liveness/liveness.ts';
import { databases, testEpoch } from '../testing/harness.ts';
import { testPostgres } from '../testing/postgres.ts';
import { freshKeys, rotatable, rotateAuthority, signingAuthority } from './ca.ts';
import { openEncryption } from './encryption.ts';
import { selectValues } from './encryption-store.ts';
import { newSigningKey, rotateSigningKey, signingKey } from './keys.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'bailiwick-test-'));
after(() => rmSync(folder, { recursive: true }));
const key = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff';
const otherKey = key.replace('00', 'ff');
const random = systemRandom();

const tables = ['signing_keys', 'authorities', 'secrets'] as const;

async function stored(deps: Deps): Promise<string[]> {
  return (await Promise.all(tables.map((table) => selectValues(deps.db, table)))).flat().map(({ value }) => value);
}

/** What can only be told by whoever has the private keys and secrets. */
async function told(deps: Deps) {
  const { version } = await asOf(deps.db);
  return {
    kid: (await signingKey(deps, version, 'ES256')).kid,
    root: (await signingAuthority(deps, version)).root.id,
    blind: deps.audit.indexKey.toString('hex'),
  };
}

for (const database of databases) {
  test(`turning encryption on encrypts what lies there, and without the key nothing starts (${database})`, async (t) => {
    const postgres = database === 'postgres' ? await testPostgres() : undefined;
    const data = mkdtempSync(path.join(folder, 'data-'));
    t.after(() => postgres?.drop());
    const opened = (key_encryption: ConfigOverrides['key_encryption'] = {}) => {
      const base: ConfigOverrides = { data, key_encryption, ...(postgres && { database_url: postgres.url }) };
      const world = { clock: fakeClock(testEpoch), log: silentLogger, algorithms: ['ES256', 'EdDSA'] as const };
      return openDeps(loadConfig({ cwd: data, overrides: base }), world);
    };
    const closed = async <Result>(deps: Deps, work: (deps: Deps) => Promise<Result>) => {
      try {
        return await work(deps);
      } finally {
        await deps.db.close();
      }
    };

    const before = await closed(await opened(), told);
    const plain = await closed(await opened(), stored);
    assert.ok(plain.some((value) => value.includes('"d":')));
    assert.ok(!plain.some((value) => value.startsWith('enc:')));

    const first = await opened({ key });
    if (database === 'sqlite') holdsNone(data, plain, 'not even while the server runs');
    assert.deepEqual(await closed(first, told), before);
    const sealed = await closed(await opened({ key }), stored);
    assert.equal(sealed.length, plain.length);
    assert.ok(
      sealed.every((value) => value.startsWith('enc:1:')),
      sealed.join('\n'),
    );
    if (database === 'sqlite') holdsNone(data, plain, 'no copy is left in the file');

    await assert.rejects(opened(), /encrypted, and no key is configured: set key_encryption/);
    await assert.rejects(opened({ key: otherKey }), /under another key than the one that key_encryption names/);
    assert.deepEqual(await closed(await opened({ key }), told), before, 'the failures broke nothing');

    await closed(await opened({ key }), async (deps) => {
      const keys = await freshKeys();
      for (const what of rotatable) await deps.db.transaction((tx) => rotateAuthority(tx, deps, what, keys));
      const fresh = await newSigningKey('ES256');
      await deps.db.transaction((tx) => rotateSigningKey(tx, deps, 'ES256', fresh));
      const values = await stored(deps);
      assert.ok(
        values.length > sealed.length && values.every((value) => value.startsWith('enc:1:')),
        'what is made later',
      );
    });
  });
}

function holdsNone(data: string, plain: readonly string[], why: string): void {
  const files = ['bailiwick.db', 'bailiwick.db-wal'].map((name) => path.join(data, name)).filter(existsSync);
  const bytes = files.map((file) => readFileSync(file, 'latin1')).join('');
  for (const value of plain) {
    const secret = (value.startsWith('{') ? (JSON.parse(value) as { d: string }).d : value) as string;
    assert.ok(!bytes.includes(secret), why);
  }
}

test('what lies encrypted opens nowhere else than where it lies', () => {
  const sealed = encryptedAtRest(random, Buffer.alloc(32, 1));
  const value = sealed.seal('secrets/a', 'text');
  assert.notEqual(value, sealed.seal('secrets/a', 'text'), 'never the same twice');
  assert.equal(sealed.open('secrets/a', value), 'text');
  assert.equal(sealed.open('secrets/a', 'plain'), 'plain');
  const flipped = Buffer.from(value.slice(6), 'base64url');
  flipped[flipped.length - 20]! ^= 1;
  const wrong = [value.slice(0, -4), 'enc:1:', 'enc:1:AAAA', `enc:1:${flipped.toString('base64url')}`];
  for (const each of wrong) assert.throws(() => sealed.open('secrets/a', each), WrongKey);
  assert.throws(() => sealed.open('secrets/b', value), WrongKey);
  assert.throws(() => encryptedAtRest(random, Buffer.alloc(32, 2)).open('secrets/a', value), WrongKey);
  assert.throws(() => plainAtRest.open('secrets/a', value), WrongKey);
});

test('where the key comes from', async () => {
  const file = (name: string, text: string) => {
    writeFileSync(path.join(folder, name), text, { mode: 0o600 });
    return path.join(folder, name);
  };
  const base64 = Buffer.from(key, 'hex').toString('base64');
  const program = file('program', `#!/bin/sh\necho "$1"\n`);
  chmodSync(program, 0o700);
  const sealed = encryptedAtRest(random, Buffer.from(key, 'hex')).seal('secrets/a', 'text');
  const good = {
    key: { key },
    file: { file: file('hex', `${key}\n`) },
    base64: { file: file('base64', `${base64}\n`) },
    command: { command: [program, base64] },
  };
  for (const [name, key_encryption] of Object.entries(good)) {
    const encryption = await openEncryption({ key_encryption }, random);
    assert.equal(encryption.open('secrets/a', sealed), 'text', name);
  }
  assert.equal((await openEncryption({ key_encryption: {} }, random)).encrypted, false);

  const secret = 'hunter2hunter2';
  const bad: [object, RegExp][] = [
    [{ file: path.join(folder, 'nowhere') }, /can't be read: .*nowhere \(ENOENT\)/],
    [{ file: file('short', secret) }, /must give 32 bytes/],
    [{ file: file('two', `${key}\n${key}\n`) }, /must give 32 bytes/],
    [{ file: file('empty', '') }, /must give 32 bytes/],
    [{ command: [program, secret] }, /key_encryption.command \(.*program\) must give 32 bytes/],
    [{ command: [path.join(folder, 'nowhere')] }, /it ended with ENOENT/],
    [{ command: [process.execPath, '-e', `console.error('${secret}'); process.exit(3)`] }, /it ended with 3/],
  ];
  for (const [key_encryption, message] of bad) {
    await assert.rejects(openEncryption({ key_encryption }, random), (error: Error) => {
      assert.match(error.message, message);
      assert.ok(!error.message.includes(secret), 'what may be the key is not told');
      return true;
    });
  }
});
