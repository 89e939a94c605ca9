/** What the command line says of how things stand: who stopped what, what is missing, what is taken. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { exitCodes } from '../errors.ts';

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

test('an agent without a key is told both ways to one', async () => {
  const created = await cli('agents', 'create', 'bare', '--owner', 'operators');
  const shown = await cli('agents', 'show', 'bare');
  for (const { out } of [created, shown]) {
    assert.match(out, /`bailiwick enrolment-token bare` .*`bailiwick credentials add bare --key-out bare\.json`/);
  }
  await cli('enrolment-token', 'bare', '--lifetime', '1s');
  server.clock.advance(2000);
  assert.match((await cli('agents', 'show', 'bare')).out, /none of its own: its instances enrol with tokens/);
});

test('the log and the agent itself say who stopped it, and why', async () => {
  await cli.json('agents', 'create', 'halted', '--owner', 'operators', '--key-out', 'halted.json');
  const [key] = (await cli.json<{ credentials: { id: string }[] }>('agents', 'show', 'halted')).credentials;
  await cli('agents', 'suspend', 'halted', '--reason', 'behaves oddly');
  const at = new Date(server.clock.now()).toISOString().slice(0, 19).replace('T', ' ');
  assert.match(
    (await cli('agents', 'show', 'halted')).out,
    new RegExp(`suspended since ${at}Z by operator: behaves oddly`),
  );
  await cli('credentials', 'end', key?.id ?? '', '--yes');
  const log = (await cli('events', 'list', '--agent', 'halted')).out;
  assert.match(log, /agent\.suspended +operator +halted +behaves oddly/);
  for (const type of ['agent.created', 'credential.created', 'credential.ended']) assert.ok(log.includes(type), log);
  assert.match((await cli('events', 'list', '--by', 'halted')).out, /Nothing in the log fits/);
  await cli('agents', 'retire', 'halted', '--reason', 'replaced', '--yes');
  assert.match((await cli('agents', 'show', 'halted')).out, /retired since .* by operator: replaced/);
  const pages = await cli('events', 'list', '--agent', 'halted', '--limit', '2', '--json');
  assert.equal(pages.out.trim().split('\n').length, 2);
});

test('a name that is taken is named, with the way on', async () => {
  await cli.json('resources', 'create', 'https://taken.example.com', '--name', 'taken', '--scope', 'a:read=See');
  const role = ['roles', 'create', 'taken-role', '--permission', 'taken=a:read'];
  const guard = ['guards', 'create', 'taken', '--owner', 'operators', '--key-out'];
  await cli.json(...role);
  await cli.json(...guard, 'guard-1.json');
  const again = await cli(...role);
  assert.equal(again.code, exitCodes.conflict.code);
  assert.match(again.err, /"taken-role" is or was .*\n.*roles update taken-role/);
  const other = await cli(...guard, 'guard-2.json');
  assert.equal(other.code, exitCodes.conflict.code);
  assert.match(other.err, /"taken-guard" is or was .*\n.*credentials add taken-guard --key-out/);
});
