import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeAuthority, makeCertificate } from '../../testing/certificates.ts';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { bundleOf } from '../../testing/trust-bundle.ts';
import { exitCodes } from '../errors.ts';

let server: TestServer;
let cli: CommandLine;

before(async () => {
  server = await startServer();
  cli = commandLine(server);
  const authority = await makeAuthority('CN=Corp CA');
  const leaf = await makeCertificate({ subject: 'CN=desk' });
  cli.write('ca.pem', authority.pem);
  cli.write('desk.crt', leaf.pem);
  cli.write('desk.key', leaf.key);
  await server.admin('POST', '/trust-domains', { name: 'partner.example', bundle: bundleOf(authority) });
});
after(async () => {
  cli.close();
  await server.close();
});

async function changes(): Promise<string[]> {
  const { out, err } = await cli('apply', '-f', 'fleet.yaml', '--dry-run', '--json');
  assert.notEqual(out, '', err);
  const { changes: all } = JSON.parse(out) as { changes: { action: string; noun: string; name: string }[] };
  return all.map(({ action, noun, name }) => `${action} ${noun} ${name}`);
}

async function applied(): Promise<void> {
  const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
  assert.equal(code, 0, err);
  assert.deepEqual(await changes(), [], 'a second time it changes nothing');
}

const fleet = (...credentials: string[]) =>
  cli.write(
    'fleet.yaml',
    `agents:\n  desk:\n    owner: operators\n    credentials:\n${credentials.map((one) => `      - ${one}\n`).join('')}`,
  );

test('certificates and names are a file’s to say: made, left alone, ended, made again', async () => {
  const names = [
    '{ san_dns: Desk.example.com, ca: ca.pem }',
    '{ spiffe_id: "spiffe://partner.example/desk/*", label: mesh }',
  ];
  fleet('{ certificate: desk.crt }', ...names, '{ subject_dn: "cn=desk, o=Example" }');
  assert.deepEqual(await changes(), [
    'create agent desk',
    'create credential desk.crt',
    'create credential san_dns=desk.example.com',
    'create credential spiffe://partner.example/desk/*',
    'create credential subject_dn=CN=desk,O=Example',
  ]);
  await applied();

  // keys and tokens are none of this list's business, and the other way round
  await cli.json('credentials', 'add', 'desk', '--key-out', 'desk.json');
  await cli('enrolment-token', 'desk');
  assert.deepEqual(await changes(), []);

  fleet('{ certificate: desk.crt }');
  assert.deepEqual(await changes(), [
    'end credential san_dns=desk.example.com',
    'end credential subject_dn=CN=desk,O=Example',
    'end credential mesh',
  ]);
  await applied();
  fleet('{ certificate: desk.crt }', ...names);
  await applied(); // a name may be given again
  fleet(...names);
  await applied();
  fleet('{ certificate: desk.crt }', ...names);
  const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
  assert.equal(code, exitCodes.usage.code);
  assert.match(err, /line \d+: agents\.desk\.credentials hold desk\.crt, which has ended/);
});

test('a suspended agent’s credentials are there', async () => {
  fleet('{ spiffe_id: spiffe://partner.example/paused }');
  await applied();
  await cli('agents', 'suspend', 'desk');
  assert.deepEqual(await changes(), []);
  await cli('agents', 'resume', 'desk');
});

const mistakes: [what: string, credential: string, words: RegExp][] = [
  ['a secret', '{ secret: hunter2 }', /credentials\.0\.secret is not known/],
  ['a key for a certificate', '{ certificate: desk.key }', /holds a private key/],
  ['a leaf for an authority', '{ san_dns: a.example, ca: desk.crt }', /certificates of an authority/],
  ['a name that is none', '{ san_ip: here }', /IPv4 or IPv6 address/],
  ['a SPIFFE ID that is none', '{ spiffe_id: "spiffe://A/b" }', /is no SPIFFE ID/],
  ['two names at once', '{ san_dns: a.example, san_ip: 10.0.0.7 }', /must be \{certificate: FILE\}/],
  ['an authority for a certificate', '{ certificate: desk.crt, ca: ca.pem }', /must be \{certificate: FILE\}/],
  ['a file that is not there', '{ certificate: none.crt }', /no certificate at .*none\.crt/],
];
for (const [what, credential, words] of mistakes) {
  test(`refused, with the line: ${what}`, async () => {
    fleet(credential);
    const { code, err } = await cli('apply', '-f', 'fleet.yaml', '--yes');
    assert.equal(code, exitCodes.usage.code, err);
    assert.match(err, words);
    assert.match(err, /line 5: agents\.desk\.credentials\.0/);
    assert.ok(!err.includes('PRIVATE KEY'));
  });
}
