/** `bailiwick revoke`: what it says before, what it asks, what it says after, and what it ends with. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { type TokenClient, tokenClient } from '../../testing/token-client.ts';
import { exitCodes } from '../errors.ts';

let server: TestServer;
let cli: CommandLine;
let client: TokenClient;

before(async () => {
  server = await startServer();
  cli = commandLine(server);
  client = await tokenClient(server);
});
after(async () => {
  cli.close();
  await server.close();
});

const token = async () => String((await client.send()).body.access_token);

test('it shows how far it reaches, and does nothing until somebody says yes', async () => {
  await token();
  const asked = await cli('revoke', 'agent', client.clientId);
  assert.equal(asked.code, exitCodes.usage.code);
  assert.match(
    asked.err,
    /tokens +1 unexpired\nheard by +tickets \w+ \(no guard\)\nnot called back +No guard is registered/,
  );
  assert.match(asked.err, /This stops the agent agent-\w+ \(agt_\w+\) until it is resumed.*\nAdd --yes/s);
  const no = commandLine(server, { interactive: true, ask: () => Promise.resolve('no') });
  assert.match((await no('revoke', 'agent', client.clientId)).err, /Left as it was/);
  no.close();
  assert.equal((await client.send()).status, 200);
});

test('revoked: who acknowledged it, its number, and 0; again is no error', async () => {
  const args = ['revoke', 'agent', client.clientId, '--reason', 'behaves oddly', '--yes'];
  const { code, out } = await cli(...args);
  assert.equal(code, 0);
  assert.match(out, /RESOURCE +GUARD +ANSWER +AFTER\n.*none to wait for/);
  const [, number = ''] = /is revoked \(revocation (\d+)\): true everywhere after \d+ ms/.exec(out) ?? [];
  assert.match((await cli(...args)).out, new RegExp(`was revoked before \\(revocation ${number}\\)`));
  assert.match((await cli('revocations', 'list')).out, /agent +suspended +agent-\w+ +operator +behaves oddly/);
  const shown = (await cli('revocations', 'show', number)).out;
  for (const line of [/why +behaves oddly/, /everywhere +yes/]) assert.match(shown, line);
  await server.admin('POST', `/agents/${client.clientId}/resume`);
  const narrowed = await cli.json<{ effect: string }>('revoke', 'agent', client.clientId, '--tokens-only', '--yes');
  assert.equal(narrowed.effect, 'tokens');
});

test('a token is given in a file or at standard input, and never on the command line', async () => {
  const [first, second] = [await token(), await token()];
  const typed = await cli('revoke', 'token', first, '--yes');
  assert.equal(typed.code, exitCodes.usage.code);
  assert.equal((typed.err + typed.out).includes(first), false);
  cli.write('found.txt', `${first}\n`);
  const filed = await cli.json<{ subject: string }>('revoke', 'token', '--token-file', 'found.txt', '--yes');
  const piped = commandLine(server, { input: () => Promise.resolve(second) });
  const read = await piped.json<{ subject: string }>('revoke', 'token', '--token-file', '-', '--yes');
  piped.close();
  assert.notEqual(filed.subject, read.subject);
  const { items } = await server.admin<{ items: { subject: string }[] }>('GET', '/revocations?kind=token');
  assert.deepEqual(
    items.map(({ subject }) => subject),
    [read.subject, filed.subject],
  );
});

for (const [what, args, code, says] of [
  ['a kind that nobody knows', ['agnet', 'desk'], 'usage', /Did you mean "agent"/],
  ['no name', ['agent'], 'usage', /Which agent/],
  ['both ways at once', ['agent', 'desk', '--for-good', '--tokens-only'], 'usage', /Which\?/],
  ['a role of an agent', ['agent', 'desk', 'reader'], 'usage', /too much/],
  ['nobody', ['agent', 'nobody'], 'not_found', /There is no agent "nobody" here/],
  ['what is no token', ['token', '--token-file', 'operator.json'], 'usage', /no token/],
  ['the last operator', ['agent', 'operator', '--yes'], 'conflict', /last/],
] as const) {
  test(`refused: ${what}`, async () => {
    const ran = await cli('revoke', ...args);
    assert.equal(ran.code, exitCodes[code].code, ran.err);
    assert.match(ran.err, says);
  });
}
