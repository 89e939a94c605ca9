/** `bailiwick revoke`: what it says before, what it asks, what it says after, and what it ends with. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { feedGuard } from '../../testing/feed-client.ts';
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
    /tokens +1 unexpired, the last until 20[^\n]+\nguarded by +tickets \w+ \(no guard\)\nnot called back +No guard is registered/,
  );
  assert.match(asked.err, /This stops the agent agent-\w+ \(agt_\w+\) until it is resumed.*\nAdd --yes/s);
  const no = commandLine(server, { interactive: true, ask: () => Promise.resolve('no') });
  assert.match((await no('revoke', 'agent', client.clientId)).err, /Left as it was/);
  no.close();
  assert.equal((await client.send()).status, 200);
});

test('where nobody guards it is not true, and nothing says that it is; again is no error', async () => {
  const args = ['revoke', 'agent', client.clientId, '--reason', 'behaves oddly', '--yes'];
  const { code, out } = await cli(...args);
  assert.equal(code, exitCodes.incomplete.code, out);
  assert.match(out, /RESOURCE +GUARD +ANSWER +AFTER\n.*no guard +hears nothing/);
  const [, number = ''] = /The agent agent-\w+ is stopped \(revocation (\d+)\)/.exec(out) ?? [];
  assert.match(out, /NOT AT tickets \w+: nobody guards it; .* believes them until 20/);
  assert.doesNotMatch(out, /everywhere|True at every guard/);
  assert.match(out, /Until: bailiwick agents resume agent-\w+/);
  const again = await cli(...args);
  assert.match(again.out, new RegExp(`revoked before \\(revocation ${number}\\)`));
  assert.match((await cli('revocations', 'list')).out, /agent +suspended +agent-\w+ +operator +behaves oddly/);
  assert.match((await cli('revocations', 'show', number)).out, /why +behaves oddly/);
  await server.admin('POST', `/agents/${client.clientId}/resume`);
});

test('what is said is what was done: tokens alone, a role taken, nothing that lives', async () => {
  const narrowed = await cli('revoke', 'agent', client.clientId, '--tokens-only', '--yes');
  assert.equal(narrowed.code, 0, 'no unexpired token is left to be accepted anywhere');
  assert.match(narrowed.out, /^The tokens of the agent agent-\w+ until now are dead; it goes on, /m);
  assert.match(narrowed.out, /True at every guard/);
  const { name } = await server.admin<{ name: string }>('GET', `/agents/${client.clientId}`);
  await server.admin('POST', '/roles', { name: 'spare', permissions: [] });
  await cli('roles', 'grant', 'spare', name);
  const taken = await cli('revoke', 'role-grant', name, 'spare', '--yes');
  assert.match(taken.out, new RegExp(`^${name} no longer holds spare `, 'm'), taken.err);
  assert.match(taken.out, new RegExp(`Undo: bailiwick roles grant spare ${name}`));
  assert.match((await cli('revocations', 'list')).out, new RegExp(`role grant +ended +grt_\\w+ of ${name}`));
  const gone = await cli('revoke', 'role-grant', name, 'spare', '--yes');
  assert.match(gone.err, /does not hold the role spare/);
});

test('a guard that is registered and was never seen is named', async () => {
  const other = await tokenClient(server);
  await other.send();
  await feedGuard(server, other.resource);
  const { code, out } = await cli('revoke', 'agent', other.clientId, '--yes');
  assert.equal(code, exitCodes.incomplete.code, out);
  assert.match(out, /guard-\w+ +NOT KNOWN/);
  assert.match(out, /NOT KNOWN OF guard-\w+: it neither follows nor has asked lately\. .* until 20/);
});

test('a token is given in a file or at standard input, and never on the command line', async () => {
  const [first, second] = [await token(), await token()];
  const typed = await cli('revoke', 'token', first, '--yes');
  assert.equal(typed.code, exitCodes.usage.code);
  assert.equal((typed.err + typed.out).includes(first), false);
  cli.write('found.txt', `${first}\n`);
  const shown = ({ out }: { out: string }) => JSON.parse(out) as { subject: string };
  const filed = shown(await cli('revoke', 'token', '--token-file', 'found.txt', '--yes', '--json'));
  const piped = commandLine(server, { input: () => Promise.resolve(second) });
  const read = shown(await piped('revoke', 'token', '--token-file', '-', '--yes', '--json'));
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
  ['nobody', ['agent', 'nobody'], 'not_found', /There is no agent "nobody" here[\s\S]*bailiwick agents list/],
  ['a slip of the hand', ['agent', 'operatr'], 'not_found', /Did you mean "operator"/],
  ['agents of an agent', ['agent', 'operator', '--with-agents'], 'usage', /--with-agents goes with a person or a team/],
  ['a role-grant without a role', ['role-grant', 'operator'], 'usage', /revoke role-grant AGENT ROLE/],
  ['what is built in', ['role', 'owner', '--for-good', '--yes'], 'conflict', /The role "owner" is built in/],
  [
    'what is no token',
    ['token', '--token-file', 'operator.json'],
    'usage',
    /operator\.json holds no token[\s\S]*token --raw/,
  ],
  ['the last operator', ['agent', 'operator', '--yes'], 'conflict', /last/],
] as const) {
  test(`refused: ${what}`, async () => {
    const ran = await cli('revoke', ...args);
    assert.equal(ran.code, exitCodes[code].code, ran.err);
    assert.match(ran.err, says);
  });
}
