/** Global Token Revocation: by whom, of whom, and what they hear. @see draft-parecki-oauth-global-token-revocation-06 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

type Things = Awaited<ReturnType<typeof populate>>;

for (const database of databases) {
  describe(`global token revocation (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let things: Things;
    let guard: AdminClient;
    let url: string;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
      await operator.ok('POST', '/organizations', { name: 'home' });
      things = await populate(operator, 'home');
      guard = adminClient(server, { client_id: things.guard.agent, jwk: things.guardKey });
      const metadata = await (await fetch(`${server.issuer}/.well-known/oauth-authorization-server`)).json();
      url = String((metadata as Record<string, unknown>).global_token_revocation_endpoint);
    });
    after(() => server.close());

    const token = () =>
      adminClient(server, { client_id: things.agent.id, jwk: things.jwk }).token(things.resource.identifier);
    const revoke = (sub_id: unknown, by = operator, more: object = {}) => by.call('POST', url, { sub_id, ...more });

    const named: [what: string, id: (t: Things) => object][] = [
      ['an agent, by its SPIFFE ID', (t) => ({ format: 'iss_sub', iss: server.issuer, sub: t.agent.subject })],
      ['an agent, by its id', (t) => ({ format: 'opaque', id: t.agent.id })],
      ['an agent, by its id as a subject', (t) => ({ format: 'iss_sub', iss: server.issuer, sub: t.agent.id })],
    ];
    test('an agent of another organization is told of as little as nobody at all', async () => {
      await operator.ok('POST', '/organizations', { name: 'abroad' });
      const stranger = await administrator(server, operator, { scopes: ['revocations:write'], organization: 'abroad' });
      for (const sub of [things.agent.subject, `${things.agent.subject}-not`]) {
        const reply = await revoke({ format: 'iss_sub', iss: server.issuer, sub }, stranger);
        assert.deepEqual([reply.status, reply.body.detail], [404, `there is no subject "${sub}" here`]);
      }
    });

    for (const [what, id] of named) {
      test(`${what}: its tokens die, and it gets new ones by proving who it is`, async () => {
        const held = await token();
        const reply = await revoke(id(things), operator, { reason_admin: { en: 'who knows more says more' } });
        assert.equal(reply.status, 204, reply.text);
        assert.equal(reply.text, '');
        assert.equal((await guard.introspect(held)).active, false);
        assert.equal((await guard.introspect(await token())).active, true);
        const { items } = await operator.ok('GET', `/revocations?organization=home&limit=1`);
        assert.deepEqual(
          [items[0].subject, items[0].effect, items[0].reason],
          [things.agent.id, 'tokens', 'global token revocation'],
        );
      });
    }

    test('an instance is ended: it has to enrol again', async () => {
      const id = await operator.enrol({ client_id: things.agent.id, jwk: things.jwk });
      const { subject } = await operator.ok('GET', `/instances/${id}`);
      assert.equal((await revoke({ format: 'iss_sub', iss: server.issuer, sub: subject })).status, 204);
      assert.equal((await operator.ok('GET', `/instances/${id}`)).status, 'ended');
    });

    test('a person, by id, and by address within the organization of whoever asks', async () => {
      assert.equal((await revoke({ format: 'opaque', id: things.person.id })).status, 204);
      const own = await administrator(server, operator, { scopes: ['revocations:write'], organization: 'home' });
      assert.equal((await revoke({ format: 'email', email: things.person.email }, own)).status, 204);
      assert.equal(
        (await revoke({ format: 'email', email: things.person.email })).status,
        404,
        'the operator is elsewhere',
      );
    });

    const refusals: [what: string, id: (t: Things) => unknown, status: number][] = [
      ['nothing', () => undefined, 400],
      ['text', (t) => t.agent.id, 400],
      ['a format that nobody knows', () => ({ format: 'phone_number', phone_number: '+1' }), 400],
      ['a format without its members', () => ({ format: 'iss_sub', iss: 'https://x.example' }), 400],
      ['more members than the format has', (t) => ({ format: 'opaque', id: t.agent.id, iss: 'x' }), 400],
      [
        'a subject of another issuer',
        (t) => ({ format: 'iss_sub', iss: 'https://x.example', sub: t.agent.subject }),
        404,
      ],
      [
        'an agent that is not there',
        () => ({ format: 'iss_sub', iss: server.issuer, sub: 'spiffe://localhost/home/nobody' }),
        404,
      ],
      [
        'another trust domain',
        () => ({ format: 'iss_sub', iss: server.issuer, sub: 'spiffe://other.example/home/desk' }),
        404,
      ],
      ['an id of nothing', () => ({ format: 'opaque', id: 'x' }), 404],
      ['what is no subject', (t) => ({ format: 'opaque', id: t.resource.id }), 404],
      ['an address of nobody', () => ({ format: 'email', email: 'nobody@home.example' }), 404],
    ];
    for (const [what, id, status] of refusals) {
      test(`refused: ${what}`, async () => {
        const held = await token();
        const reply = await revoke(id(things));
        assert.equal(reply.status, status, reply.text);
        assert.equal((await guard.introspect(held)).active, true);
      });
    }

    test('who may not gets nothing done, and who shows no token is asked for one', async () => {
      const held = await token();
      const bare = await fetch(url, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } });
      assert.equal(bare.status, 401);
      assert.match(bare.headers.get('www-authenticate') ?? '', /^DPoP /);
      assert.equal((await fetch(url)).status, 401);
      assert.equal((await operator.call('GET', url)).status, 405);
      const reader = await administrator(server, operator, {
        scopes: ['revocations:read', 'agents:write'],
        organization: 'home',
      });
      assert.equal((await revoke({ format: 'opaque', id: things.agent.id }, reader)).status, 403);
      const elsewhere = await administrator(server, operator, { scopes: ['revocations:write'] });
      for (const id of [
        { format: 'opaque', id: things.agent.id },
        { format: 'iss_sub', iss: server.issuer, sub: things.agent.subject },
      ]) {
        assert.equal((await revoke(id, elsewhere)).status, 404);
      }
      const owner = await administrator(server, operator, { scopes: ['revocations:own'], organization: 'home' });
      assert.equal((await revoke({ format: 'opaque', id: things.agent.id }, owner)).status, 404);
      assert.equal((await revoke({ format: 'opaque', id: owner.agent }, owner)).status, 204);
      assert.equal((await guard.introspect(held)).active, true);
    });
  });
}
