import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { touchCredential } from '../../credentials/store.ts';
import { makeAuthority, makeCertificate } from '../../testing/certificates.ts';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { startServer, type TestServer } from '../../testing/harness.ts';
import { bundleOf } from '../../testing/trust-bundle.ts';
import { exitCodes } from '../errors.ts';

const day = 86_400_000;
interface Shown {
  id: string;
  kind: string;
  status: string;
  secret?: string;
  expires_at?: string;
  replaced?: Shown;
}

let server: TestServer;
let cli: CommandLine;

before(async () => {
  server = await startServer({ config: { dangerously_client_secrets_until: '2027-06-30' } });
  cli = commandLine(server);
  const authority = await makeAuthority('CN=Corp CA');
  const [first, second] = [await makeCertificate({ subject: 'CN=one' }), await makeCertificate({ subject: 'CN=two' })];
  cli.write('ca.pem', authority.pem);
  cli.write('one.crt', first.pem);
  cli.write('two.crt', second.pem);
  cli.write('one.key', first.key);
  await server.admin('POST', '/trust-domains', { name: 'partner.example', bundle: bundleOf(authority) });
});
after(async () => {
  cli.close();
  await server.close();
});

const agent = async (name: string) => (await cli.json<Shown>('agents', 'create', name, '--owner', 'operators')).id;

/** How each kind is added, and how it is replaced. */
const kinds: [kind: string, add: string[], replace: string[]][] = [
  ['public_key', ['--key-out', 'a.json'], ['--key-out', 'b.json']],
  ['certificate', ['--certificate', 'one.crt'], ['--certificate', 'two.crt']],
  [
    'certificate_subject',
    ['--tls-subject', 'san_dns=One.example.com', '--ca', 'ca.pem'],
    ['--tls-subject', 'subject_dn=CN=one,O=Example', '--ca', 'ca.pem'],
  ],
  ['spiffe_id', ['--spiffe-id', 'spiffe://partner.example/a'], ['--spiffe-id', 'spiffe://partner.example/b/*']],
  ['secret', ['--secret', '--expires', '30d'], ['--expires', '60d']],
  ['enrolment_token', ['--enrolment-token', '--address', '10.0.0.0/8', '--attribute', 'zone=eu-1'], []],
];

for (const [kind, add, replace] of kinds) {
  test(`${kind}: added, replaced with an overlap by one command, and ended`, async () => {
    const name = `of-${kind.replaceAll('_', '-')}`;
    await agent(name);
    const made = await cli.json<Shown>('credentials', 'add', name, ...add, '--label', 'first');
    assert.equal(made.kind, kind);
    const next = await cli.json<Shown>('credentials', 'rotate', made.id, '--overlap', '5m', ...replace);
    assert.equal(next.kind, kind);
    const old = await cli.json<{ items: Shown[] }>('credentials', 'list', '--agent', name);
    assert.deepEqual(
      old.items.map(({ id, status, expires_at }) => [id === made.id && expires_at, status]),
      [
        [new Date(server.clock.now() + 300_000).toISOString(), 'active'],
        [false, 'active'],
      ],
    );
    const { out, err, code } = await cli('credentials', 'end', made.id);
    assert.equal(code, exitCodes.usage.code, out);
    assert.match(err, new RegExp(`of ${name} for good`));
    assert.equal((await cli('credentials', 'end', made.id, '--yes')).code, 0);
    const left = await cli.json<{ items: Shown[] }>('credentials', 'list', '--agent', name);
    assert.deepEqual(
      left.items.map(({ id }) => id),
      [next.id],
    );
    const all = await cli.json<{ items: Shown[] }>('credentials', 'list', '--agent', name, '--all', '--kind', kind);
    assert.deepEqual(
      all.items.map(({ status }) => status),
      ['removed', 'active'],
    );
  });
}

test('a secret stands alone on standard output, and what is said of it elsewhere', async () => {
  await agent('piped');
  const ways: [words: string[], shape: RegExp][] = [
    [['enrolment-token', 'piped', '--lifetime', '2m', '--attribute', 'zone=eu-1'], /^bwe_[\w-]{43}\n$/],
    [['credentials', 'add', 'piped', '--enrolment-token'], /^bwe_[\w-]{43}\n$/],
    [['credentials', 'add', 'piped', '--secret', '--expires', '2026-12-01T00:00:00Z'], /^bws_[\w-]{43}\n$/],
  ];
  for (const [words, shape] of ways) {
    const { out, err, code } = await cli(...words);
    assert.equal(code, 0, err);
    assert.match(out, shape);
    assert.match(err, /shown here and nowhere else/);
    assert.ok(!err.includes(out.trim()), 'once is enough');
  }
  const { err } = await cli('enrolment-token', 'piped', '--lifetime', '2m');
  assert.match(err, /For one instance of piped, once, within 2 min \(until 2026-11-01 09:02:00Z\)/);
  const { items } = await cli.json<{ items: Shown[] }>('credentials', 'list', '--agent', 'piped');
  assert.ok(items.every(({ secret }) => secret === undefined));
});

test('what deserves a look, for either reason, as the group with options too', async () => {
  const late = await startServer();
  const there = commandLine(late);
  await there.json('agents', 'create', 'idle', '--owner', 'operators', '--key-out', 'idle.json');
  late.clock.advance(40 * day);
  await there.json('agents', 'create', 'fresh', '--owner', 'operators');
  await there.json('credentials', 'add', 'fresh', '--key-out', 'fresh.json', '--expires', '5d');
  await there.json('credentials', 'add', 'fresh', '--key-out', 'lasting.json');
  const short = await there('credentials', '--stale', '30d', '--expiring', '7d');
  const long = await there('credentials', 'list', '--stale', '30d', '--expiring', '7d');
  assert.equal(short.out, long.out);
  assert.equal(short.out.trimEnd().split('\n').length, 3, short.out);
  assert.match(short.out, /idle .*never used in 40 d/);
  assert.match(short.out, /fresh .*ends in 5 d/);
  const soon = await there.json<{ items: Shown[] }>('credentials', '--expiring', '7d');
  assert.equal(soon.items.length, 1);
  late.clock.advance(5 * day);
  assert.match((await there('credentials', '--expiring', '1d')).out, /Nothing to look at/);
  there.close();
  await late.close();
});

test('what is being replaced says by what, and tokens of minutes are nothing to look at', async (t) => {
  const late = await startServer();
  t.after(() => late.close());
  const there = commandLine(late);
  t.after(() => there.close());
  await there.json('agents', 'create', 'moving', '--owner', 'operators', '--key-out', 'moving.json');
  const [old] = (await there.json<{ credentials: Shown[] }>('agents', 'show', 'moving')).credentials;
  const next = await there.json<Shown>('credentials', 'rotate', old?.id ?? '', '--key-out', 'next.json');
  await there('enrolment-token', 'moving');
  const { out } = await there('credentials', 'list', '--agent', 'moving');
  assert.match(out, new RegExp(`REPLACED BY[\\s\\S]* ${next.id} +${old?.id}\n`));
  assert.match((await there('agents', 'show', 'moving')).out, /enrolment token, until 2026-/);
  const ending = async (...more: string[]) =>
    (await there.json<{ items: Shown[] }>('credentials', '--expiring', '1d', ...more)).items.map(({ kind }) => kind);
  assert.deepEqual(await ending(), ['public_key']);
  assert.deepEqual(await ending('--kind', 'enrolment_token'), ['enrolment_token']);
});

test('a secret that may not be is refused under its own name', async () => {
  const late = await startServer();
  const there = commandLine(late);
  await there.json('agents', 'create', 'legacy', '--owner', 'operators');
  const { code, err } = await there('credentials', 'add', 'legacy', '--secret', '--expires', '30d');
  assert.equal(code, exitCodes.usage.code);
  assert.match(err, /^--secret is not possible here: /);
  there.close();
  await late.close();
});

test('the last use is shown as exactly as it is known, and what may have been used is not stale', async (t) => {
  const late = await startServer();
  t.after(() => late.close());
  const there = commandLine(late);
  t.after(() => there.close());
  await there.json('agents', 'create', 'busy', '--owner', 'operators', '--role', 'operator', '--key-out', 'busy.json');
  const [key] = (await there.json<{ credentials: Shown[] }>('agents', 'show', 'busy')).credentials;
  late.clock.advance(60_000);
  const at = late.clock.now();
  await late.deps.db.settle((tx) => touchCredential(tx, key?.id ?? '', at));
  const shown = async () => (await there('credentials', 'list', '--agent', 'busy')).out;
  assert.match(await shown(), /within the hour[\s\S]*may be later than shown/);
  late.clock.advance(day);
  assert.match(await shown(), new RegExp(`${new Date(at).toISOString().slice(0, 16).replace('T', ' ')}Z`));
  const stale = async () =>
    (await there.json<{ items: Shown[] }>('credentials', '--agent', 'busy', '--stale', '24h')).items;
  assert.deepEqual(await stale(), [], 'it may have been used 23 hours ago');
  late.clock.advance(3_600_000 + 1);
  assert.equal((await stale()).length, 1);
  assert.match((await there('credentials', '--agent', 'busy', '--stale', '24h')).out, /not used for 24 h/);
});

/** What is refused before anything is sent, or by the server, in words that name the option. */
const mistakes: [what: string, argv: string[], words: RegExp][] = [
  ['no kind', [], /Which credential\?/],
  ['two kinds', ['--secret', '--certificate', 'one.crt'], /two credentials/],
  [
    'an authority without a subject',
    ['--certificate', 'one.crt', '--ca', 'ca.pem'],
    /--ca says something about --tls-subject/,
  ],
  [
    'an address for a key',
    ['--key-out', 'x.json', '--address', '10.0.0.0/8'],
    /--address says something about --enrolment-token/,
  ],
  ['an end for a token', ['--enrolment-token', '--expires', '1h'], /--lifetime/],
  ['a token for two hours', ['--enrolment-token', '--lifetime', '2h'], /1h at most/],
  ['a secret without an end', ['--secret'], /needs an end/],
  ['a secret for too long', ['--secret', '--expires', '400d'], /--expires .*2027-07-01/],
  ['a span that is none', ['--secret', '--expires', '30x'], /--expires "30x" isn't understood/],
  ['a key in place of a certificate', ['--certificate', 'one.key'], /--certificate holds a private key/],
  ['a file that is not there', ['--certificate', 'none.crt'], /none\.crt/],
  [
    'a subject without a field',
    ['--tls-subject', 'one.example.com'],
    /--tls-subject "one\.example\.com" isn't understood/,
  ],
  ['a name that is none', ['--tls-subject', 'san_dns=a b', '--ca', 'ca.pem'], /--tls-subject must be a DNS name/],
  [
    'a leaf as authority',
    ['--tls-subject', 'san_dns=a.example', '--ca', 'one.crt'],
    /--ca must be certificates of an authority/,
  ],
  [
    'an unknown trust domain',
    ['--spiffe-id', 'spiffe://nobody.example/a'],
    /--spiffe-id is of the trust domain nobody\.example/,
  ],
  ['an attribute without a value', ['--enrolment-token', '--attribute', 'zone'], /--attribute "zone" isn't understood/],
  ['an address that is none', ['--enrolment-token', '--address', 'here'], /--address must be an address/],
];
for (const [what, argv, words] of mistakes) {
  test(`refused: ${what}`, async () => {
    const name = `refused-${what.replaceAll(' ', '-')}`;
    await agent(name);
    const { code, out, err } = await cli('credentials', 'add', name, ...argv);
    assert.equal(code, exitCodes.usage.code, out + err);
    assert.match(err, words);
    const { items } = await cli.json<{ items: Shown[] }>('credentials', 'list', '--agent', name, '--all');
    assert.deepEqual(items, []);
  });
}

test('a suspended agent’s credentials are shown as such', async () => {
  await agent('paused');
  await cli.json('credentials', 'add', 'paused', '--key-out', 'paused.json');
  assert.match((await cli('agents', 'suspend', 'paused')).out, /credentials prove nothing until/);
  const { out } = await cli('credentials', 'list', '--agent', 'paused');
  assert.match(out, /STATUS/);
  assert.match(out, /suspended/);
});
