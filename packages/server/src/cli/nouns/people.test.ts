/** `bailiwick people`: who somebody is here, and to trusted issuers. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';
import type { Person } from '../registry.ts';

const login = 'https://login.example.com';
const other = 'https://other.example.com';

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

test('a person is linked to what issuers call them, and unlinked', async () => {
  const { id } = await cli.json<Person>('people', 'create', 'Ada Lovelace', '--email', 'ada@example.com');
  const made = await cli('people', 'link', 'ada@example.com', login, '2482');
  assert.equal(made.code, 0, made.err);
  assert.match(made.out, /person +Ada Lovelace\n[\s\S]*elsewhere +2482 at https:\/\/login\.example\.com\n/);
  const identities = async () => (await cli.json<Person>('people', 'show', id)).identities ?? [];
  assert.deepEqual(await identities(), [{ issuer: login, subject: '2482' }]);
  await cli.json('people', 'link', id, login, '2482');
  await cli.json('people', 'link', 'Ada Lovelace', login, '2483');
  await cli.json('people', 'link', id, other, '2482');
  assert.deepEqual(await identities(), [
    { issuer: login, subject: '2482' },
    { issuer: login, subject: '2483' },
    { issuer: other, subject: '2482' },
  ]);
  const rev = async () => (await server.deps.db.get<{ rev: number }>('select max(rev) as rev from revocations'))?.rev;
  const before = await rev();
  await cli.json('people', 'link', id, login, '2482');
  assert.equal(await rev(), before, 'nothing of theirs ends by what is so already');

  await cli.json('people', 'unlink', id, login, '2483');
  assert.deepEqual(await identities(), [
    { issuer: login, subject: '2482' },
    { issuer: other, subject: '2482' },
  ]);
  await cli.json('people', 'link', id, login, '2483');
  const { identities: left } = await cli.json<Person>('people', 'unlink', id, login);
  assert.deepEqual(left, [{ issuer: other, subject: '2482' }], 'all that they were there');
});

test('who is not linked, or somebody else already, is told', async () => {
  await cli.json('people', 'create', 'Bob');
  await cli.json('people', 'create', 'Eve');
  await cli.json('people', 'link', 'Bob', login, 'bob');
  const taken = await cli('people', 'link', 'Eve', login, 'bob');
  assert.equal(taken.code, exitCodes.conflict.code);
  assert.match(taken.err, /another person of the organization is already/);
  for (const [rest, says] of [
    [['Eve', login], /"Eve" is nobody to https:\/\/login\.example\.com\.\n.*bailiwick people show 'Eve'/],
    [['Bob', login, 'bobby'], /"Bob" is not bobby to https:\/\/login\.example\.com/],
    [['Bob', `${login}/`], /"Bob" is nobody to/],
    [['Nobody', login], /no person "Nobody"/],
  ] as const) {
    const { code, err } = await cli('people', 'unlink', ...rest);
    assert.equal(code, exitCodes.not_found.code);
    assert.match(err, says);
  }
  assert.equal((await cli('people', 'link', 'Bob', 'http://login.example.com', 'x')).code, exitCodes.usage.code);
});
