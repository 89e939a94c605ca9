import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../testing/command-line.ts';
import { startServer, type TestServer } from '../testing/harness.ts';
import { exitCodes } from './errors.ts';

let server: TestServer;
let cli: CommandLine;

before(async () => {
  server = await startServer();
  cli = commandLine(server);
  await cli.json('teams', 'create', 'travel');
});
after(async () => {
  cli.close();
  await server.close();
});

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
const grantsOf = async (...argv: string[]) => (await cli.json<{ grants: string[] }>('agents', ...argv)).grants;

test('how an agent gets tokens is said in short, or as it is called', async () => {
  const own = ['--owner', 'travel'];
  assert.deepEqual(await grantsOf('create', 'desk', ...own), ['client_credentials']);
  const both = ['--grant', 'client_credentials', '--grant', 'token-exchange'];
  assert.deepEqual((await grantsOf('create', 'assistant', ...own, ...both)).sort(), ['client_credentials', exchange]);
  assert.match((await cli('agents', 'show', 'assistant')).out, /grants +client_credentials, token-exchange/);
  assert.deepEqual(await grantsOf('update', 'assistant', '--grant', exchange), [exchange]);
  assert.deepEqual(await grantsOf('update', 'assistant', '--purpose', 'Books'), [exchange], 'what is not named stays');
});

test('what is no grant is refused, and nothing is changed', async () => {
  for (const name of ['password', 'urn:example:grant']) {
    const { code, err } = await cli('agents', 'update', 'desk', '--grant', name);
    assert.equal(code, exitCodes.usage.code, err);
    assert.match(err, /must be one of client_credentials, urn:ietf:params:oauth:grant-type:token-exchange/);
  }
  assert.deepEqual(await grantsOf('show', 'desk'), ['client_credentials']);
});
