import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { hashOf } from '../credentials/secret.ts';
import { asOf } from '../liveness/liveness.ts';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { makeAuthority, makeCertificate } from '../testing/certificates.ts';
import { databases, startServer, type TestServer, testEpoch } from '../testing/harness.ts';
import { bundleOf } from '../testing/trust-bundle.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const at = (ms: number) => new Date(ms).toISOString();

const rsaKeys = async (exponent: number) =>
  (await webcrypto.subtle.generateKey(
    {
      name: 'RSASSA-PKCS1-v1_5',
      hash: 'SHA-256',
      modulusLength: 2048,
      publicExponent: new Uint8Array([exponent]),
    },
    true,
    ['sign', 'verify'],
  )) as webcrypto.CryptoKeyPair;

/** What credentials are made of, once for all databases: certificates take a while. */
const certificates = {
  authority: await makeAuthority('CN=Corp CA'),
  leaf: await makeCertificate({ subject: 'CN=desk,O=Example', names: [['dns', 'desk.example.com']] }),
  another: await makeCertificate({ subject: 'CN=desk 2' }),
  expired: await makeCertificate({ subject: 'CN=old', until: testEpoch - 1 }),
  early: await makeCertificate({ subject: 'CN=early', from: testEpoch + hour }),
  weak: await makeCertificate({ subject: 'CN=weak', alg: 'RSA-1024' }),
  curve: await makeCertificate({ subject: 'CN=curve', alg: 'P-521' }),
  exponent: await makeCertificate({ subject: 'CN=exponent', keys: await rsaKeys(3), alg: 'RS256' }),
  sha1: await makeCertificate({ subject: 'CN=sha1', hash: 'SHA-1' }),
  expiredAuthority: await makeAuthority('CN=Old CA', { until: testEpoch - 1 }),
  weakAuthority: await makeAuthority('CN=Weak CA', { alg: 'RSA-1024' }),
};
const secretsUntil = '2026-12-31';

/** A good body of each kind, but for the agent. Each is another credential every time. */
async function bodies(): Promise<Record<string, Record<string, unknown>>> {
  const number = counter++;
  return {
    public_key: { jwk: publicJwk(await generateJwk('ES256')) },
    certificate: { kind: 'certificate', certificate: (await makeCertificate({ subject: `CN=n${number}` })).pem },
    certificate_subject: {
      kind: 'certificate_subject',
      subject: { field: 'san_dns', value: `n${number}.example.com`, ca: certificates.authority.pem },
    },
    spiffe_id: { kind: 'spiffe_id', spiffe_id: `spiffe://partner.example/n${number}` },
    secret: { kind: 'secret', expires_at: at(testEpoch + day) },
    enrolment_token: { kind: 'enrolment_token' },
  };
}
let counter = 0;
const kinds = Object.keys(await bodies());

for (const database of databases) {
  describe(`credentials of every kind (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let team: string;
    let desk: string;

    before(async () => {
      server = await startServer({ database, config: { dangerously_client_secrets_until: secretsUntil } });
      operator = adminClient(server, server.operator);
      team = (await operator.ok('GET', '/teams?name=operators')).items[0].id;
      desk = await agent('desk');
      await operator.ok('POST', '/trust-domains', {
        name: 'partner.example',
        bundle: bundleOf(certificates.authority),
      });
    });
    after(() => server.close());

    async function agent(name: string): Promise<string> {
      return (await operator.ok('POST', '/agents', { name, kind: 'workload', owner: team })).id;
    }
    const add = (body: object, of = desk) => operator.call('POST', '/credentials', { agent: of, ...body });
    const get = (id: string) => operator.ok('GET', `/credentials/${id}`);

    test('each is added, shown, and in the log', async () => {
      for (const [kind, body] of Object.entries(await bodies())) {
        const reply = await add({ ...body, label: `a ${kind}` });
        assert.equal(reply.status, 201, reply.text);
        const { secret, ...made } = reply.body;
        assert.deepEqual([made.kind, made.agent, made.status, made.label], [kind, desk, 'active', `a ${kind}`]);
        assert.deepEqual(await get(made.id), made, 'the same is shown later, without a secret');
        assert.equal(secret !== undefined, kind === 'secret' || kind === 'enrolment_token');
        if (secret !== undefined) {
          assert.match(secret, kind === 'secret' ? /^bws_[\w-]{43}$/ : /^bwe_[\w-]{43}$/);
          assert.equal(made.thumbprint, hashOf(secret));
        }
        const { items } = await operator.ok('GET', `/events?target=${made.id}`);
        assert.deepEqual(
          items.map((event: { type: string }) => event.type),
          ['credential.created'],
        );
        assert.equal(items[0].decided_on.changed.kind, kind);
        await operator.ok('DELETE', `/credentials/${made.id}`);
      }
    });

    test('what is shown of each is what was meant, in one spelling', async () => {
      const { leaf, authority } = certificates;
      const certificate = (await add({ kind: 'certificate', certificate: `as text\n${leaf.pem}` })).body;
      assert.equal(certificate.thumbprint, leaf.x5t);
      assert.equal(certificate.subject_dn, 'O=Example,CN=desk');
      assert.match(certificate.certificate, /^-----BEGIN CERTIFICATE-----\n/);
      assert.equal(certificate.expires_at, at(testEpoch + 365 * day), 'it ends with the certificate');
      const spellings = [
        ['subject_dn', 'cn=desk, o=Example\\2C Inc.', 'CN=desk,O=Example\\, Inc.'],
        ['subject_dn', 'OU=b+cn=a,2.5.4.6=DE', 'CN=a+OU=b,C=DE'],
        ['san_dns', 'Desk.Example.COM', 'desk.example.com'],
        ['san_uri', 'HTTPS://Desk.example.com/A', 'https://desk.example.com/A'],
        ['san_ip', '2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
        ['san_email', 'Desk.One@Example.com', 'Desk.One@example.com'],
      ];
      for (const [field, value, canonical] of spellings) {
        const subject = { field, value, ca: authority.pem };
        const reply = await add({ kind: 'certificate_subject', subject });
        assert.equal(reply.status, 201, reply.text);
        assert.deepEqual(reply.body.subject.value, canonical);
        const again = await add({ kind: 'certificate_subject', subject: { ...subject, value: canonical } });
        assert.equal(again.status, 409, 'the same name in another spelling is the same name');
        assert.equal(again.body.errors[0].field, 'subject');
        await operator.ok('DELETE', `/credentials/${reply.body.id}`);
      }
      const token = (await add({ kind: 'enrolment_token', addresses: ['10.0.0.0/8'], attributes: { zone: 'eu-1' } }))
        .body;
      assert.deepEqual([token.addresses, token.attributes], [['10.0.0.0/8'], { zone: 'eu-1' }]);
      assert.equal(token.expires_at, at(server.clock.now() + 10 * minute));
    });

    /** Each is one fault in a body that would be right without it. */
    const rejections: [what: string, body: () => object, status: number, field: string][] = [
      ['another kind', () => ({ kind: 'password' }), 400, 'kind'],
      ['a kind that is no word', () => ({ kind: 7 }), 400, 'kind'],
      ['what belongs to another kind', () => ({ kind: 'certificate', jwk: {} }), 400, 'certificate'],
      ['a member that there is not', () => ({ kind: 'enrolment_token', adresses: [] }), 400, 'adresses'],

      ['no certificate', () => ({ kind: 'certificate' }), 400, 'certificate'],
      ['a certificate that is no text', () => ({ kind: 'certificate', certificate: {} }), 400, 'certificate'],
      ...(
        [
          ['words', () => 'my certificate'],
          ['a chain', () => certificates.leaf.pem + certificates.authority.pem],
          ['a private key beside it', () => certificates.leaf.pem + certificates.leaf.key],
          ['a public key', () => '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----'],
          ['damaged', () => certificates.leaf.pem.replace(/\n.{10}/, '\nAAAAAAAAAA')],
          ['cut off', () => certificates.leaf.pem.replace(/\n.*\n-----END/, '\n-----END')],
          ['bytes behind it', () => pemOf(Buffer.concat([certificates.leaf.der, Buffer.from([0])]))],
          ['expired', () => certificates.expired.pem],
          ['not yet valid', () => certificates.early.pem],
          ['an RSA key of 1024 bits', () => certificates.weak.pem],
          ['a curve that we do not use', () => certificates.curve.pem],
          ['an RSA key with the exponent 3', () => certificates.exponent.pem],
          ['a key of an algorithm that nobody knows', () => pemOf(foreignKey(certificates.leaf.der))],
          ['signed with SHA-1', () => certificates.sha1.pem],
        ] as const
      ).map(([what, pem]): (typeof rejections)[number] => [
        `a certificate: ${what}`,
        () => ({ kind: 'certificate', certificate: pem() }),
        422,
        'certificate',
      ]),
      [
        'an end after that of the certificate',
        () => ({ kind: 'certificate', certificate: certificates.another.pem, expires_at: at(testEpoch + 366 * day) }),
        422,
        'expires_at',
      ],

      ['no subject', () => ({ kind: 'certificate_subject' }), 400, 'subject'],
      ['a field that there is not', () => subject('common_name', 'desk'), 400, 'subject.field'],
      ...(
        [
          ['subject_dn', 'desk'],
          ['subject_dn', ''],
          ['subject_dn', 'CN='],
          ['subject_dn', 'CN=desk,'],
          ['subject_dn', 'CN=a;O=b'],
          ['subject_dn', 'CN="desk"'],
          ['subject_dn', 'CN=#0c0141'],
          ['subject_dn', 'CN=de\\sk'],
          ['subject_dn', 'CN=\\ff'],
          ['subject_dn', 'FOO=desk'],
          ['subject_dn', '02.5.4.3=desk'],
          ['subject_dn', `CN=${'x'.repeat(1100)}`],
          ['san_dns', 'desk example'],
          ['san_dns', '*.example.com'],
          ['san_dns', 'desk.example.com.'],
          ['san_dns', '-desk.example.com'],
          ['san_dns', '192.0.2.7'],
          ['san_dns', 'bücher.example'],
          ['san_dns', `${'x'.repeat(64)}.example`],
          ['san_uri', 'desk.example.com'],
          ['san_uri', '/desk'],
          ['san_uri', 'https://desk.example.com/a b'],
          ['san_uri', 'https://desk.example.com/%zz'],
          ['san_uri', 'spiffe://partner.example/desk'],
          ['san_ip', '192.0.2.07'],
          ['san_ip', '192.0.2.0/24'],
          ['san_ip', 'fe80::1%eth0'],
          ['san_ip', '::ffff:192.0.2.7'],
          ['san_ip', 'localhost'],
          ['san_email', 'desk'],
          ['san_email', '@example.com'],
          ['san_email', 'Desk <desk@example.com>'],
          ['san_email', 'desk@@example.com'],
          ['san_email', 'desk@192.0.2.7'],
        ] as const
      ).map(([field, value]): (typeof rejections)[number] => [
        `the ${field} ${JSON.stringify(value.slice(0, 30))}`,
        () => subject(field, value),
        422,
        'subject.value',
      ]),
      ['a subject that is no text', () => subject('san_dns', 7), 400, 'subject.value'],
      ...(
        [
          ['a leaf', () => certificates.leaf.pem],
          ['words', () => 'the CA of the company'],
          ['an authority and a leaf', () => certificates.authority.pem + certificates.leaf.pem],
          ['a private key beside it', () => certificates.authority.pem + certificates.authority.key],
          ['an authority that has expired', () => certificates.expiredAuthority.pem],
          ['an authority with a weak key', () => certificates.weakAuthority.pem],
        ] as const
      ).map(([what, ca]): (typeof rejections)[number] => [
        `for an authority: ${what}`,
        () => ({ ...subject('san_dns', 'ca.example.com', ca()) }),
        422,
        'subject.ca',
      ]),

      ['no SPIFFE ID', () => ({ kind: 'spiffe_id' }), 400, 'spiffe_id'],
      ...[
        'desk',
        'https://partner.example/desk',
        'SPIFFE://partner.example/desk',
        'spiffe://Partner.example/desk',
        'spiffe://partner.example/desk/',
        'spiffe://partner.example//desk',
        'spiffe://partner.example/a/../desk',
        'spiffe://partner.example/a/./desk',
        'spiffe://partner.example/d%65sk',
        'spiffe://partner.example:8443/desk',
        'spiffe://desk@partner.example/desk',
        'spiffe://partner.example/desk?a',
        'spiffe://partner.example/desk#a',
        'spiffe://partner.example/*/desk',
        'spiffe://partner.example/desk*',
        'spiffe://*',
        'spiffe:///desk',
        'spiffe://partner.example',
        'spiffe://localhost/default/desk',
        'spiffe://stranger.example/desk',
      ].map((spiffe_id): (typeof rejections)[number] => [
        `the SPIFFE ID ${spiffe_id}`,
        () => ({ kind: 'spiffe_id', spiffe_id }),
        422,
        'spiffe_id',
      ]),

      ['a secret without an end', () => ({ kind: 'secret' }), 400, 'expires_at'],
      [
        'a secret of one’s own',
        () => ({ kind: 'secret', secret: 'hunter2', expires_at: at(testEpoch + day) }),
        400,
        'secret',
      ],
      [
        'a secret that outlives the exception',
        () => ({ kind: 'secret', expires_at: '2027-01-01T00:00:00.001Z' }),
        422,
        'expires_at',
      ],
      ['a secret that has ended', () => ({ kind: 'secret', expires_at: at(testEpoch - day) }), 422, 'expires_at'],

      ['an enrolment token for more than an hour', () => token({ lifetime_seconds: 3601 }), 400, 'lifetime_seconds'],
      ['an enrolment token for no time', () => token({ lifetime_seconds: 0 }), 400, 'lifetime_seconds'],
      [
        'an enrolment token with an end of one’s own',
        () => token({ expires_at: at(testEpoch + minute) }),
        400,
        'expires_at',
      ],
      ['an address that is none', () => token({ addresses: ['10.0.0'] }), 400, 'addresses[0]'],
      ['a network that is none', () => token({ addresses: ['10.0.0.0/33'] }), 400, 'addresses[0]'],
      ['a host name', () => token({ addresses: ['example.com'] }), 400, 'addresses[0]'],
      ['an address twice', () => token({ addresses: ['10.0.0.7', '10.0.0.7'] }), 400, 'addresses'],
      ['attributes that are a list', () => token({ attributes: ['eu-1'] }), 400, 'attributes'],
      ['an attribute that is a number', () => token({ attributes: { zone: 1 } }), 400, 'attributes.zone'],
      ['an attribute with a line break', () => token({ attributes: { zone: 'a\nb' } }), 400, 'attributes.zone'],
      ['an attribute in capitals', () => token({ attributes: { Zone: 'a' } }), 400, 'attributes.Zone'],
      ['an attribute that is an address', () => token({ attributes: { address: '10.0.0.7' } }), 400, 'attributes'],
      [
        '17 attributes',
        () => token({ attributes: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`a${n}`, 'x'])) }),
        400,
        'attributes',
      ],
    ];
    for (const [what, body, status, field] of rejections) {
      test(`refused: ${what}`, async () => {
        const reply = await add(body());
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.body.errors[0].field, field, reply.text);
        assert.ok(!/PRIVATE KEY|hunter2/.test(reply.text), 'nothing secret is repeated');
      });
    }
    const subject = (field: string, value: unknown, ca: string = certificates.authority.pem) => ({
      kind: 'certificate_subject',
      subject: { field, value, ca },
    });
    const token = (more: object) => ({ kind: 'enrolment_token', ...more });

    test('one key, certificate or name stands for one agent', async () => {
      const other = await agent('other');
      for (const [kind, body] of Object.entries(await bodies())) {
        if (kind === 'secret' || kind === 'enrolment_token') continue; // made anew each time
        const { id } = (await add(body)).body;
        for (const holder of [desk, other]) assert.equal((await add(body, holder)).status, 409, kind);
        await operator.ok('DELETE', `/credentials/${id}`);
        const again = await add(body, other);
        // a key has one life; a name can be given anew once nobody has it
        assert.equal(again.status, kind === 'public_key' || kind === 'certificate' ? 409 : 201, kind);
        const was = await get(id);
        assert.equal(was.status, 'removed', 'and what was, stays in the list');
        if (again.status === 201) assert.equal(was.thumbprint, again.body.thumbprint);
      }
    });

    test('two secrets live at a time, however many are asked for at once', async () => {
      const legacy = await agent('legacy');
      const secret = { kind: 'secret', expires_at: at(testEpoch + day) };
      const replies = await Promise.all(Array.from({ length: 6 }, () => add(secret, legacy)));
      assert.deepEqual(replies.map(({ status }) => status).toSorted(), [201, 201, 409, 409, 409, 409]);
      const { items } = await operator.ok('GET', `/credentials?agent=${legacy}`);
      assert.equal(items.length, 2);
      await operator.ok('DELETE', `/credentials/${items[0].id}`);
      assert.equal((await add(secret, legacy)).status, 201);
    });

    test('twenty live credentials are enough, and enrolment tokens are counted by themselves', async () => {
      const many = await agent('many');
      for (let n = 0; n < 20; n++) {
        const subject = { field: 'san_dns', value: `m${n}.example.com`, ca: certificates.authority.pem };
        assert.equal((await add({ kind: 'certificate_subject', subject }, many)).status, 201);
        assert.equal((await add({ kind: 'enrolment_token' }, many)).status, 201);
      }
      const reply = await add((await bodies()).public_key as object, many);
      assert.deepEqual([reply.status, reply.body.errors[0].field], [409, 'agent']);
      assert.equal((await add({ kind: 'enrolment_token' }, many)).status, 201);
    });

    test('an enrolment token, of which there is one for each copy, costs no memory of the registry', async () => {
      const version = async () => (await asOf(server.deps.db)).version;
      const before = await version();
      const { id } = (await add({ kind: 'enrolment_token' })).body;
      assert.equal(await version(), before);
      await operator.ok('DELETE', `/credentials/${id}`);
      await add((await bodies()).public_key as object);
      assert.ok((await version()) > before);
    });

    test('a secret is in one answer, and nowhere else', async () => {
      const shy = await agent('shy');
      const secrets: string[] = [];
      const requests: [body: object, to: string][] = [];
      for (const kind of ['secret', 'enrolment_token']) {
        const body = { agent: shy, ...(await bodies())[kind] };
        requests.push([body, '/credentials']);
        const { id } = (await add(body)).body;
        requests.push([{ ...(await bodies())[kind] }, `/credentials/${id}/rotate`]);
        if (kind === 'secret') continue;
      }
      for (const [index, [body, to]] of requests.entries()) {
        const { items } = await operator.ok('GET', `/credentials?agent=${shy}&kind=secret&status=active`);
        if (items.length === 2) await operator.ok('DELETE', `/credentials/${items[0].id}`);
        const old = to.split('/')[2];
        if (old !== undefined && (await get(old)).status !== 'active') continue;
        const key = { 'idempotency-key': `shy-${index}` };
        const first = await operator.call('POST', to, body, key);
        assert.equal(first.status, 201, first.text);
        secrets.push(first.body.secret);
        const second = await operator.call('POST', to, body, key);
        assert.equal(second.status, 201);
        assert.equal(second.headers.get('idempotent-replayed'), 'true');
        const { secret: _, ...shown } = first.body;
        const { secret_withheld, ...again } = second.body;
        assert.deepEqual(again, shown);
        assert.match(secret_withheld, /remove this and make another/);
      }
      assert.ok(secrets.length >= 3 && secrets.every((secret) => /^bw[se]_/.test(secret)));
      const kept = await everythingIn(server);
      for (const secret of secrets) {
        for (const form of [secret, secret.slice(4), secret.slice(10, 30)]) {
          assert.ok(!kept.includes(form), 'no trace of it');
          assert.ok(!kept.includes(Buffer.from(form).toString('base64').slice(0, -4)), 'nor encoded');
        }
        assert.ok(kept.includes(hashOf(secret)), 'this looks where it would be');
      }
    });

    test('each is replaced with an overlap, by one request, and ends by time alone', async () => {
      for (const [kind, body] of Object.entries(await bodies())) {
        const holder = await agent(`rotating-${kind.replaceAll('_', '-')}`);
        const old = (await add(body, holder)).body;
        const another = (await bodies())[kind] as object;
        const reply = await operator.call('POST', `/credentials/${old.id}/rotate`, {
          ...another,
          overlap_seconds: 300,
        });
        assert.equal(reply.status, 201, `${kind}: ${reply.text}`);
        assert.ok(reply.headers.get('location')?.endsWith(`/admin/v1/credentials/${reply.body.id}`));
        const standing = async () => [(await get(old.id)).status, (await get(reply.body.id)).status];
        assert.equal((await get(old.id)).expires_at, at(server.clock.now() + 300_000), kind);
        server.clock.advance(299_999);
        assert.deepEqual(await standing(), ['active', 'active'], kind);
        server.clock.advance(1);
        assert.deepEqual(await standing(), ['expired', 'active'], `${kind}: nothing passed but time`);
        const { items } = await operator.ok('GET', `/events?target=${old.id}`);
        const rotated = items.find((event: { type: string }) => event.type === 'credential.rotated');
        assert.equal(rotated.decided_on.changed.replaced_by, reply.body.id);
        const late = await operator.call('POST', `/credentials/${old.id}/rotate`, (await bodies())[kind]);
        assert.deepEqual([late.status, late.body.errors[0].field], [409, 'id'], `${kind}: nothing to overlap with`);
        assert.equal((await operator.ok('GET', `/credentials?agent=${holder}`)).items.length, 2, 'nothing was made');
      }
    });

    test('replacing: another kind, an end that is near, no overlap at all, and what fails changes nothing', async () => {
      const holder = await agent('replacing');
      const { secret, public_key: key } = await bodies();
      const old = (await add(secret as object, holder)).body;
      const bad = await operator.call('POST', `/credentials/${old.id}/rotate`, { jwk: { kty: 'oct' } });
      assert.equal(bad.status, 422);
      assert.equal((await get(old.id)).expires_at, old.expires_at, 'all or nothing');
      const week = await operator.ok('POST', `/credentials/${old.id}/rotate`, { ...key, overlap_seconds: 7 * 86_400 });
      assert.equal((await get(old.id)).expires_at, old.expires_at, 'an end of its own that is nearer stays');
      const { public_key: next } = await bodies();
      await operator.ok('POST', `/credentials/${week.id}/rotate`, { ...next, overlap_seconds: 0 });
      assert.equal((await get(week.id)).status, 'removed');
      for (const overlap_seconds of [-1, 1.5, 91 * 86_400, '1h']) {
        const reply = await operator.call('POST', `/credentials/${old.id}/rotate`, { ...next, overlap_seconds });
        assert.deepEqual([reply.status, reply.body.errors[0].field], [400, 'overlap_seconds']);
      }
    });

    test('lists by kind, by standing, by what is stale and by what ends', async () => {
      const listed = await agent('listed');
      const made: Record<string, string> = {};
      for (const [kind, body] of Object.entries(await bodies())) made[kind] = (await add(body, listed)).body.id;
      const list = async (query: string) =>
        (await operator.ok('GET', `/credentials?agent=${listed}&${query}`)).items.map(
          ({ kind }: { kind: string }) => kind,
        );
      for (const kind of kinds) assert.deepEqual(await list(`kind=${kind}`), [kind]);
      const now = server.clock.now();
      assert.deepEqual(await list(`stale_since=${at(now)}`), [], 'what was just made is not stale');
      assert.deepEqual(await list(`stale_since=${at(now + 1)}`), kinds);
      assert.deepEqual(await list(`expiring_before=${at(now + hour)}`), ['enrolment_token']);
      assert.deepEqual(await list(`expiring_before=${at(now + 400 * day)}`), [
        'certificate',
        'secret',
        'enrolment_token',
      ]);
      server.clock.advance(10 * minute);
      assert.deepEqual(await list('status=expired'), ['enrolment_token']);
      await operator.ok('DELETE', `/credentials/${made.public_key}`);
      assert.deepEqual(await list('status=removed'), ['public_key']);
      assert.deepEqual(await list('status=active'), ['certificate', 'certificate_subject', 'spiffe_id', 'secret']);
      await operator.ok('POST', `/agents/${listed}/suspend`);
      assert.deepEqual(await list('status=active'), []);
      assert.deepEqual(await list('status=suspended'), ['certificate', 'certificate_subject', 'spiffe_id', 'secret']);
      assert.equal((await get(made.secret as string)).status, 'suspended');
      const another = await add((await bodies()).public_key as object, listed);
      assert.equal(another.body.status, 'suspended', 'what is added meanwhile waits, too');
      await operator.ok('DELETE', `/credentials/${another.body.id}`);
      await operator.ok('POST', `/agents/${listed}/resume`);
      assert.deepEqual(await list('status=suspended'), []);
      for (const query of ['kind=password', 'status=dead', 'stale_since=30d', 'expiring_before=2030-01-01']) {
        const reply = await operator.call('GET', `/credentials?${query}`);
        assert.deepEqual([reply.status, reply.body.errors[0].field], [400, query.split('=')[0]]);
      }
    });

    test('an end can be moved as far as the kind allows', async () => {
      const holder = await agent('moving');
      const made = Object.fromEntries(
        await Promise.all(
          Object.entries(await bodies()).map(async ([kind, body]) => [kind, (await add(body, holder)).body]),
        ),
      );
      const patch = (kind: string, expires_at: string | null) =>
        operator.call('PATCH', `/credentials/${made[kind].id}`, { expires_at });
      const now = server.clock.now();
      const cases: [kind: string, end: string | null, status: number][] = [
        ['public_key', at(now + 10 * 365 * day), 200],
        ['public_key', null, 200],
        ['public_key', at(now), 422],
        ['certificate', at(now + 366 * day), 422],
        ['certificate', at(now + day), 200],
        ['certificate', null, 200],
        ['certificate_subject', at(now + day), 200],
        ['spiffe_id', null, 200],
        ['secret', '2027-01-01T00:00:01Z', 422],
        ['secret', null, 422],
        ['secret', at(now + 2 * day), 200],
        ['enrolment_token', at(now + hour + 1000), 422],
        ['enrolment_token', null, 422],
        ['enrolment_token', at(now + hour), 200],
      ];
      for (const [kind, end, status] of cases) {
        const reply = await patch(kind, end);
        assert.equal(reply.status, status, `${kind} ${end}: ${reply.text}`);
        if (status === 422) assert.equal(reply.body.errors[0].field, 'expires_at');
      }
      const { expires_at } = await get(made.certificate.id);
      assert.equal(expires_at, at(testEpoch + 365 * day), 'without an end of its own it has that of the certificate');
    });

    test('nobody adds to, replaces or changes what is mightier, whatever the kind', async () => {
      const narrow = await administrator(server, operator, { scopes: ['credentials:write', 'credentials:read'] });
      const mighty = server.operator.client_id;
      const [{ id }] = (await operator.ok('GET', `/credentials?agent=${mighty}`)).items;
      for (const body of Object.values(await bodies())) {
        assert.equal((await narrow.call('POST', '/credentials', { agent: mighty, ...body })).status, 403);
        assert.equal((await narrow.call('POST', `/credentials/${id}/rotate`, body)).status, 403);
      }
    });

    test('only a key without an end keeps the last operator', async () => {
      const mighty = server.operator.client_id;
      const [{ id }] = (await operator.ok('GET', `/credentials?agent=${mighty}`)).items;
      const { secret, certificate, enrolment_token, public_key } = await bodies();
      for (const body of [secret, certificate, enrolment_token]) {
        const reply = await operator.call('POST', `/credentials/${id}/rotate`, body);
        assert.equal(reply.status, 409, reply.text);
        assert.match(reply.body.detail, /last identity with the role operator/);
      }
      assert.equal((await operator.ok('GET', `/credentials?agent=${mighty}`)).items.length, 1, 'nothing was added');
      const successor = await operator.ok('POST', `/credentials/${id}/rotate`, {
        ...public_key,
        overlap_seconds: 3600,
      });
      await operator.ok('PATCH', `/credentials/${id}`, { expires_at: null });
      await operator.ok('DELETE', `/credentials/${successor.id}`);
    });
  });

  test(`without the dated exception, and when it is over, there are no secrets (${database})`, async (t) => {
    for (const until of [undefined, '2026-10-31']) {
      const server = await startServer({
        database,
        config: until === undefined ? {} : { dangerously_client_secrets_until: until },
      });
      t.after(() => server.close());
      const operator = adminClient(server, server.operator);
      const body = { agent: server.operator.client_id, kind: 'secret', expires_at: at(testEpoch + hour) };
      const reply = await operator.call('POST', '/credentials', body);
      assert.deepEqual([reply.status, reply.body.errors[0].field], [422, 'kind'], reply.text);
      assert.match(reply.body.detail, /dangerously_client_secrets_until/);
    }
  });
}

const pemOf = (der: Buffer) =>
  `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replaceAll(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;

/** The same certificate, whose key says that it is of another algorithm than id-ecPublicKey (1.2.840.10045.2.1). */
function foreignKey(der: Buffer): Buffer {
  const algorithm = Buffer.from('06072a8648ce3d0201', 'hex');
  const at = der.indexOf(algorithm);
  assert.notEqual(at, -1);
  const changed = Buffer.from(der);
  changed[at + algorithm.length - 1] = 0x7f;
  return changed;
}

/** All that a server has kept: the files of its folder, and every row of its database. */
async function everythingIn({ deps }: TestServer): Promise<string> {
  const files = readdirSync(deps.config.data).map((name) => readFileSync(path.join(deps.config.data, name), 'latin1'));
  const postgres = deps.config.database_url !== undefined;
  const tables = await deps.db.all<{ name: string }>(
    postgres
      ? "select table_name as name from information_schema.tables where table_schema = 'public'"
      : "select name from sqlite_master where type = 'table'",
    [],
  );
  for (const { name } of tables) files.push(JSON.stringify(await deps.db.all(`select * from ${name}`, [])));
  return files.join('\n');
}
