import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { exchangeScene } from '../../testing/exchange.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';

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

test('issuers are trusted, shown, suspended, resumed and removed', async () => {
  const scene = await exchangeScene(server);
  const { clientId } = await scene.agent();
  const rule = { name: 'staff', agents: [clientId], resources: [{ resource: scene.api.identifier, scope: 'book' }] };
  cli.write('rules.json', JSON.stringify([rule]));
  cli.write('none.json', 'x');
  const issuer = 'https://login.example.com';
  assert.match((await cli('issuers', 'list')).out, /No trusted issuers/);
  const trust = ['issuers', 'trust', issuer, '--jwks-uri', 'https://localhost:1/jwks', '--audience', 'app'];
  const made = await cli(...trust, '--rules', 'rules.json');
  assert.equal(made.code, 0, made.err);
  assert.ok(made.out.includes(`staff: ${clientId}`));
  assert.equal((await cli('issuers', 'trust', issuer, '--rules', 'rules.json', '--accept', 'access_token')).code, 0);
  const shown = await cli.json<{ accepts: string[]; audiences: string[] }>('issuers', 'show', issuer);
  assert.deepEqual([shown.accepts, shown.audiences], [['access_token'], ['app']]);
  assert.match((await cli('issuers', 'suspend', issuer)).out, /suspended/);
  assert.match((await cli('issuers', 'resume', issuer)).out, /active/);
  assert.match((await cli('issuers', 'refresh', issuer)).out, /can't be connected to/);
  const refused = await cli('revoke', 'trusted-issuer', issuer);
  assert.match(refused.err, /This takes no tokens of the trusted issuer https.* until it is resumed, and ends every/);
  const stopped = await cli('revoke', 'trusted-issuer', issuer, '--yes');
  assert.match(stopped.out, /The trusted issuer https:\S+ is stopped .*\n.*Until: bailiwick issuers resume https:/);
  const { id, status } = await cli.json<{ id: string; status: string }>('issuers', 'show', issuer);
  assert.equal(status, 'suspended');
  for (const file of ['none.json', 'missing.json']) assert.equal((await cli(...trust, '--rules', file)).code, 2);
  assert.match((await cli('issuers', 'remove', issuer, '--yes')).out, /trusted no more/);
  assert.match((await cli('issuers', 'show', issuer)).err, /is not trusted/);
  assert.match((await cli('revoke', 'trusted-issuer', id, '--yes')).out, /had ended before|was revoked before/);
  assert.equal((await cli('issuers', ...trust.slice(1), '--rules', 'rules.json')).code, 0);
  const ended = await cli('revoke', 'trusted-issuer', issuer, '--for-good', '--yes');
  assert.match(ended.out, /The issuer https:\S+ is trusted no more .*\n.*anew: bailiwick issuers trust https:/);
});
