/** Signals that others push to us: what is taken, what policy lets it do, and what is refused. The other side is made of `jose`. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { CompactSign, exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { testWeb } from '../testing/signal-receiver.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const issuer = 'https://idp.example';
const audience = 'https://id.example/signals';
const caep = 'https://schemas.openid.net/secevent/caep/event-type/';

interface Source {
  id: string;
  push_url: string;
  secret: string;
}

type Claims = JWTPayload & Record<string, unknown>;

for (const database of databases) {
  describe(`signals that are heard, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let keys: Awaited<ReturnType<typeof generateKeyPair>>;
    let stranger: Awaited<ReturnType<typeof generateKeyPair>>;
    let published: Server;
    let server: TestServer;
    let source: Source;
    let jwks: unknown[];
    before(async () => {
      web = await testWeb();
      keys = await generateKeyPair('RS256');
      stranger = await generateKeyPair('RS256');
      jwks = [{ ...(await exportJWK(keys.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }];
      published = createServer({ cert: web.cert, key: web.key }, (_, response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: jwks })),
      );
      await new Promise<void>((resolve) => published.listen(0, '127.0.0.1', resolve));
      server = await startServer({ database, config: { outbound: { ca_file: web.caFile } } });
      source = await made({ name: 'idp', subjects: ['agent', 'credential', 'email'] });
    });
    after(async () => {
      await server.close();
      published.close();
      web.remove();
    });

    const made = (more: object, at = '') =>
      server.admin<Source>('POST', `/signal-sources${at}`, {
        name: `s-${randomUUID().slice(0, 8)}`,
        issuer,
        jwks_uri: `https://localhost:${(published.address() as AddressInfo).port}/jwks`,
        audience: [audience],
        ...more,
      });
    const subjectOf = async (agent: string) => {
      const { subject } = await server.admin<{ subject: string }>('GET', `/agents/${agent}`);
      return { format: 'iss_sub', iss: server.issuer, sub: subject };
    };
    const claimsOf = (type: string, sub_id: unknown, says: object = {}): Claims => ({
      iss: issuer,
      aud: audience,
      iat: Math.floor(server.clock.now() / 1000),
      jti: randomUUID(),
      txn: 'what-happened',
      sub_id,
      events: { [type]: says },
    });
    const sign = (claims: Claims, header: object = {}, key = keys.privateKey) =>
      new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'one', typ: 'secevent+jwt', ...header }).sign(key);
    /** What `SignJWT` can't make: it copies what it signs, and that ends where the stack does. */
    const signText = (text: string) =>
      new CompactSign(Buffer.from(text))
        .setProtectedHeader({ alg: 'RS256', kid: 'one', typ: 'secevent+jwt' })
        .sign(keys.privateKey);
    const push = async (body: string, to = source, headers: Record<string, string> = {}) => {
      const response = await fetch(to.push_url, {
        method: 'POST',
        headers: { 'content-type': 'application/secevent+jwt', authorization: to.secret, ...headers },
        body,
      });
      const text = await response.text();
      return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
    };
    const tell = async (type: string, sub_id: unknown, says: object = {}, to = source) => {
      const claims = claimsOf(caep + type, sub_id, says);
      const answer = await push(await sign(claims), to);
      assert.deepEqual(answer, { status: 202, body: undefined });
      return claims;
    };
    const statusOf = async (agent: string) =>
      (await server.admin<{ status: string }>('GET', `/agents/${agent}`)).status;
    const heard = async (jti: unknown, of = source) => {
      const { items } = await server.admin<{
        items: { decided_on: { set: string; agents: Record<string, unknown>[] }; personal: object }[];
      }>('GET', `/events?type=signal.received&target=${of.id}&limit=200`);
      return items.filter(({ decided_on }) => decided_on.set === jti);
    };
    const outcome = async (jti: unknown, of = source) => {
      const [event, ...more] = await heard(jti, of);
      assert.equal(more.length, 0);
      return event?.decided_on.agents.map(({ effect, concerns }) => [effect, concerns]);
    };

    for (const [what, type, says, effect] of [
      ['a revoked session ends tokens', 'session-revoked', {}, 'revoked'],
      [
        'a revoked credential suspends',
        'credential-change',
        { change_type: 'revoke', credential_type: 'x509' },
        'suspended',
      ],
      [
        'a deleted credential suspends',
        'credential-change',
        { change_type: 'delete', credential_type: 'app' },
        'suspended',
      ],
      [
        'a new credential is recorded',
        'credential-change',
        { change_type: 'create', credential_type: 'app' },
        'recorded',
      ],
      ['high risk suspends', 'risk-level-change', { current_level: 'HIGH', principal: 'USER' }, 'suspended'],
      ['low risk is recorded', 'risk-level-change', { current_level: 'LOW', principal: 'USER' }, 'recorded'],
      [
        'a device out of compliance is recorded',
        'device-compliance-change',
        { current_status: 'not-compliant', previous_status: 'compliant' },
        'recorded',
      ],
      [
        'less assurance is recorded',
        'assurance-level-change',
        { namespace: 'NIST-AAL', current_level: 'nist-aal1' },
        'recorded',
      ],
      ['other claims are recorded', 'token-claims-change', { claims: { role: 'x' } }, 'recorded'],
    ] as const) {
      test(what, async () => {
        const client = await tokenClient(server);
        const { body: before } = await client.send();
        const claims = await tell(type, await subjectOf(client.clientId), says);
        assert.deepEqual(await outcome(claims.jti), [[effect, 'agent']]);
        assert.equal(await statusOf(client.clientId), effect === 'suspended' ? 'suspended' : 'active');
        assert.equal(await isAlive(client, before.access_token), effect === 'recorded');
        assert.equal((await client.send()).status === 200, effect !== 'suspended');
      });
    }

    /** Whether the agent's own token can still be given up: one that is dead leaves no event. */
    async function isAlive(client: TokenClient, token: unknown): Promise<boolean> {
      const { items: before } = await revocations(client);
      const form = await client.form({ token: String(token) });
      delete form.grant_type;
      await fetch(`${server.issuer}/oauth2/revoke`, { method: 'POST', body: new URLSearchParams(form) });
      return (await revocations(client)).items.length > before.length;
    }
    const revocations = (client: TokenClient) =>
      server.admin<{ items: unknown[] }>('GET', `/events?type=token.revoked&agent=${client.clientId}`);

    test('an agent is meant by its name, its id, a credential of a partner, its instance or who answers for it', async () => {
      await server.admin('POST', '/trust-domains', {
        name: 'partner.example',
        bundle: {
          keys: [{ use: 'jwt-svid', kid: 'p', ...(await exportJWK((await generateKeyPair('ES256')).publicKey)) }],
        },
      });
      const client = await tokenClient(server);
      const { items } = await server.admin<{ items: { id: string; email: string }[] }>('GET', '/people?limit=200');
      const email = items.find(({ id }) => id === client.owner)?.email;
      await server.admin('POST', '/credentials', {
        agent: client.clientId,
        kind: 'spiffe_id',
        spiffe_id: 'spiffe://partner.example/desk',
      });
      const own = await subjectOf(client.clientId);
      const tenant = { format: 'opaque', id: 'somebody-elses' };
      for (const [subject, concerns] of [
        [own, 'agent'],
        [{ format: 'uri', uri: own.sub }, 'agent'],
        [{ format: 'opaque', id: client.clientId }, 'agent'],
        [{ format: 'iss_sub', iss: issuer, sub: 'spiffe://partner.example/desk' }, 'credential'],
        [{ format: 'email', email }, 'owner'],
        [{ format: 'complex', user: own, tenant, session: { format: 'opaque', id: 'x' } }, 'agent'],
        [{ format: 'aliases', identifiers: [{ format: 'email', email: 'nobody@x.example' }, own] }, 'agent'],
      ] as const) {
        const claims = await tell('session-revoked', subject);
        assert.deepEqual(await outcome(claims.jti), [['revoked', concerns]], JSON.stringify(subject));
      }
      // members that mean different ones mean nobody
      const other = await tokenClient(server);
      const claims = await tell('session-revoked', {
        format: 'complex',
        user: own,
        device: await subjectOf(other.clientId),
      });
      assert.deepEqual(await outcome(claims.jti), []);
    });

    test('nobody of another organization is meant, and nobody by what the source may not name', async () => {
      const { id: organization } = await server.admin<{ id: string }>('POST', '/organizations', { name: 'others' });
      const theirs = await made({}, `?organization=${organization}`);
      const client = await tokenClient(server);
      for (const subject of [await subjectOf(client.clientId), { format: 'opaque', id: client.clientId }]) {
        const claims = await tell('session-revoked', subject, {}, theirs);
        assert.equal((await heard(claims.jti, theirs)).length, 0, 'it stands in their log, not in ours');
      }
      const narrow = await made({ subjects: ['agent'], events: ['session-revoked'] });
      const { items } = await server.admin<{ items: { id: string; email: string }[] }>('GET', '/people?limit=200');
      const email = items.find(({ id }) => id === client.owner)?.email;
      const byEmail = await tell('session-revoked', { format: 'email', email }, {}, narrow);
      assert.deepEqual(await outcome(byEmail.jti, narrow), []);
      const risk = await tell('risk-level-change', await subjectOf(client.clientId), { current_level: 'HIGH' }, narrow);
      assert.deepEqual(await outcome(risk.jti, narrow), []);
      assert.equal(await statusOf(client.clientId), 'active');
    });

    test('what a source may not name by means nobody, however it is written', async () => {
      const client = await tokenClient(server);
      const own = await subjectOf(client.clientId);
      const { items } = await server.admin<{ items: { id: string; email: string }[] }>('GET', '/people?limit=200');
      const email = { format: 'email', email: items.find(({ id }) => id === client.owner)?.email };
      const nobody = { format: 'email', email: 'nobody@nowhere.example' };
      const byId = { format: 'opaque', id: client.clientId };
      const { body } = await client.send();
      const { jti } = JSON.parse(Buffer.from(String(body.access_token).split('.')[1] ?? '', 'base64url').toString());
      const byEmail = await made({ subjects: ['email'] });
      const byCredential = await made({ subjects: ['credential'] });
      const byAgent = await made({ subjects: ['agent'] });
      const complex = (members: object) => ({ format: 'complex', ...members });
      for (const [subject, to, concerned] of [
        ...[own, byId, { format: 'uri', uri: own.sub }, { format: 'jwt_id', iss: server.issuer, jti }].flatMap(
          (one) => [[one, byEmail, 0] as const, [one, byCredential, 0] as const, [one, byAgent, 1] as const],
        ),
        [{ format: 'aliases', identifiers: [nobody, own] }, byEmail, 0],
        // of another issuer
        [{ ...own, iss: 'https://somebody-else.example' }, byAgent, 0],
        [{ ...own, iss: issuer }, byAgent, 0],
        [{ format: 'iss_sub', iss: 'https://somebody-else.example', sub: client.clientId }, byAgent, 0],
        [{ format: 'jwt_id', iss: 'https://somebody-else.example', jti }, byAgent, 0],
        // one member is nobody here
        [complex({ user: nobody, device: byId }), source, 0],
        [complex({ user: nobody, device: byId }), byAgent, 0],
        [complex({ device: byId, user: { format: 'opaque', id: 'agt_00000000000000000000000000' } }), byAgent, 0],
        [complex({ user: email, device: own }), byAgent, 1], // it may not name by address: only narrower by it
        [complex({ user: email, device: own }), byEmail, 1],
        [complex({ user: { format: 'opaque', id: 'their-own-id' }, device: own }), byAgent, 1],
        [complex({ user: own, session: { format: 'opaque', id: 'tsk_00000000000000000000000000' } }), byAgent, 1],
        [complex({ user: email }), byAgent, 0],
      ] as const) {
        const claims = await tell('session-revoked', subject, {}, to);
        assert.equal((await outcome(claims.jti, to))?.length, concerned, JSON.stringify(subject));
      }
    });

    test('a person whom a signal names by address is forgotten with it; who is nobody of ours is not kept', async () => {
      const email = `${randomUUID()}@example.com`;
      const { id: person } = await server.admin<{ id: string }>('POST', '/people', { name: 'Ada', email });
      const stranger = `${randomUUID()}@example.com`;
      const known = await tell('session-revoked', { format: 'email', email }, { reason_user: { en: `${email} left` } });
      const unknown = await tell('session-revoked', { format: 'email', email: stranger });
      const shown = async (jti: unknown) => JSON.stringify(await heard(jti));
      assert.ok((await shown(known.jti)).includes(email));
      assert.equal((await shown(unknown.jti)).includes(stranger), false);
      await server.admin('DELETE', `/people/${person}`);
      assert.equal((await shown(known.jti)).includes(email), false);
    });

    test('the same signal does something once, however often and at once it comes', async () => {
      const client = await tokenClient(server);
      const claims = claimsOf(`${caep}risk-level-change`, await subjectOf(client.clientId), { current_level: 'HIGH' });
      const set = await sign(claims);
      const answers = await Promise.all(Array.from({ length: 8 }, () => push(set)));
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
      assert.equal((await heard(claims.jti)).length, 1);
      await server.admin('POST', `/agents/${client.clientId}/resume`);
      assert.equal((await push(await sign(claims))).status, 202);
      assert.equal(await statusOf(client.clientId), 'active');
    });

    test('policy says what may be done: by default nothing, and whom it names stays', async () => {
      const client = await tokenClient(server);
      const { name } = await server.admin<{ name: string }>('GET', `/agents/${client.clientId}`);
      await server.admin('POST', '/policies', {
        name: 'signals',
        text: `@id("spare") forbid (principal == Source::"idp", action == Action::"signal:apply", resource == Agent::"${name}");
@id("compliance") permit (principal, action == Action::"signal:apply", resource)
when { context.event == "device-compliance-change" && context has current_status && context.current_status == "not-compliant" && context.effect == "suspend" };`,
        reason: 'test',
      });
      const spared = await tell('risk-level-change', await subjectOf(client.clientId), { current_level: 'HIGH' });
      assert.deepEqual(await outcome(spared.jti), [['recorded', 'agent']]);
      const other = await tokenClient(server);
      const device = await tell('device-compliance-change', await subjectOf(other.clientId), {
        current_status: 'not-compliant',
      });
      assert.deepEqual(await outcome(device.jti), [['suspended', 'agent']]);
    });

    test('who administers more than registering a source takes is stopped only by a policy that names them', async () => {
      const operator = adminClient(server, server.operator);
      const registrar = { scopes: ['signals:read', 'signals:write', 'revocations:read', 'revocations:write'] } as const;
      const mighty = await administrator(server, operator, { scopes: ['agents:write'] });
      const equal = await administrator(server, operator, { scopes: [...registrar.scopes] });
      const high = async (agent: string) => {
        const subject = { format: 'opaque', id: agent };
        return outcome((await tell('risk-level-change', subject, { current_level: 'HIGH' })).jti);
      };
      const session = await tell('session-revoked', { format: 'opaque', id: mighty.agent });
      assert.deepEqual(await outcome(session.jti), [['kept', 'agent']]);
      assert.deepEqual(await high(mighty.agent), [['kept', 'agent']]);
      assert.equal(await statusOf(mighty.agent), 'active');
      assert.deepEqual(await high(equal.agent), [['suspended', 'agent']]);
      const { name } = await server.admin<{ name: string }>('GET', `/agents/${mighty.agent}`);
      const policy = (head: string) =>
        `@id("one") permit (principal == Source::"idp", action == Action::"signal:apply", resource${head}) when { context.effect == "suspend" };`;
      const { id } = await server.admin<{ id: string }>('POST', '/policies', {
        name: 'mighty',
        text: policy(''),
        reason: 'test',
      });
      assert.deepEqual(await high(mighty.agent), [['kept', 'agent']], 'for everybody is for nobody by name');
      await server.admin('PATCH', `/policies/${id}`, { text: policy(` == Agent::"${name}"`), reason: 'test' });
      assert.deepEqual(await high(mighty.agent), [['suspended', 'agent']]);
      await server.admin('PATCH', `/policies/${id}`, {
        text: policy(` == Agent::"nobody"`).replace('permit', 'forbid'),
        reason: 'test',
      });
    });

    test('who can not revoke can not say who is believed, nor that we believe ourselves', async () => {
      const operator = adminClient(server, server.operator);
      const narrow = await administrator(server, operator, { scopes: ['signals:read', 'signals:write'] });
      const body = { name: 'mine', issuer, jwks_uri: 'https://evil.example/jwks', audience: [audience] };
      const refused = await narrow.call('POST', '/signal-sources', body);
      assert.deepEqual([refused.status, refused.body.missing_scope ?? 'revocations:write'], [403, 'revocations:write']);
      const moved = await narrow.call('PATCH', `/signal-sources/${source.id}`, { jwks_uri: body.jwks_uri });
      assert.equal(moved.status, 403);
      const ourselves = await operator.call('POST', '/signal-sources', { ...body, issuer: server.issuer });
      assert.equal(ourselves.status, 422);
    });

    test('what we told ourselves does nothing when it comes back, however it comes', async () => {
      const client = await tokenClient(server);
      const own = await subjectOf(client.clientId);
      const send = async (txn: string, to = source) => {
        const claims = { ...claimsOf(`${caep}session-revoked`, own), txn };
        assert.equal((await push(await sign(claims), to)).status, 202);
        return (await heard(claims.jti, to))[0]?.decided_on.agents.map(({ effect }) => effect);
      };
      await server.admin('POST', '/revocations', { subject: client.clientId, effect: 'tokens', reason: 'once' });
      const { items } = await server.admin<{ items: { id: string }[] }>(
        'GET',
        `/events?type=token.revoked&target=${client.clientId}&limit=1`,
      );
      const [first] = items;
      assert.ok(first);
      assert.deepEqual(await send(first.id), []);
      // another's happening is told on under its own name, and does something once, by whichever way it comes
      const theirs = `evt_${'0'.repeat(25)}1`;
      assert.deepEqual(await send(theirs), ['revoked']);
      assert.deepEqual(await send(theirs, await made({})), ['recorded']);
      const { items: caused } = await server.admin<{ items: { decided_on: { changed: { txn?: string } } }[] }>(
        'GET',
        `/events?type=token.revoked&target=${client.clientId}&limit=1`,
      );
      assert.equal(caused[0]?.decided_on.changed.txn, theirs);
      // what has no id of ours may be many things
      assert.deepEqual([await send('always-the-same'), await send('always-the-same')], [['revoked'], ['revoked']]);
    });

    test('text of somebody outside is kept in no leaf', async () => {
      const claims = {
        ...claimsOf('https://evil.example/call Wanda \u001b[31m', { format: 'opaque', id: 'x' }),
        jti: `call Wanda ${randomUUID()}`,
        txn: 'Wanda Erasable',
      };
      assert.equal((await push(await sign(claims))).status, 202);
      const { items } = await server.admin<{ items: { decided_on: { set: string; txn: string; event: string } }[] }>(
        'GET',
        `/events?type=signal.received&target=${source.id}&limit=1`,
      );
      const [event] = items;
      assert.equal(event?.decided_on.event, 'unknown');
      assert.match(event?.decided_on.set ?? '', /^sha256:/);
      assert.doesNotMatch(JSON.stringify(event?.decided_on), /Wanda/);
      assert.equal((await push(await sign(claims))).status, 202, 'known by its id all the same');
    });

    test('nobody can end the last operator by a signal', async () => {
      await server.admin('POST', '/policies', {
        name: 'operator',
        text: '@id("one") permit (principal == Source::"idp", action == Action::"signal:apply", resource in Role::"operator") when { context.effect == "suspend" };',
        reason: 'test',
      });
      const claims = await tell(
        'risk-level-change',
        { format: 'opaque', id: server.operator.client_id },
        { current_level: 'HIGH' },
      );
      const [event] = await heard(claims.jti);
      assert.deepEqual(
        event?.decided_on.agents.map(({ effect, why }) => [effect, why]),
        [['kept', 'the last operator stays']],
      );
      assert.equal(await statusOf(server.operator.client_id), 'active');
    });

    test('a new key of the source is found, but not asked for all the time', async () => {
      const next = await generateKeyPair('ES256');
      const before = jwks;
      const claims = () => claimsOf(`${caep}session-revoked`, { format: 'opaque', id: 'x' });
      const signed = () => sign(claims(), { alg: 'ES256', kid: 'two' }, next.privateKey);
      assert.equal((await push(await signed())).body.err, 'invalid_key');
      jwks = [...jwks, { ...(await exportJWK(next.publicKey)), kid: 'two' }];
      assert.equal((await push(await signed())).body.err, 'invalid_key');
      server.clock.advance(31_000);
      assert.equal((await push(await signed())).status, 202);
      // one that was taken away is gone within the hour
      jwks = before;
      server.clock.advance(61 * 60_000);
      assert.equal((await push(await signed())).body.err, 'invalid_key');
      assert.equal((await push(await sign(claims()))).status, 202);
    });

    test('what is about the stream itself is taken, and does nothing', async () => {
      const ssf = 'https://schemas.openid.net/secevent/ssf/event-type/';
      const claims = claimsOf(`${ssf}verification`, { format: 'opaque', id: 'their-stream' }, { state: 'x' });
      assert.equal((await push(await sign(claims))).status, 202);
      assert.deepEqual(await outcome(claims.jti), []);
    });

    describe('refused', () => {
      const good = () => claimsOf(`${caep}session-revoked`, { format: 'opaque', id: 'x' });
      const deep = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
      const nested = (depth: number) => JSON.parse(deep(depth));
      const table: [string, () => Promise<string> | string, string][] = [
        ['nothing', () => '', 'invalid_request'],
        ['no JWS', () => 'a.b', 'invalid_request'],
        ['JSON', () => JSON.stringify(good()), 'invalid_request'],
        ['alg none', () => new UnsecuredJWT(good()).encode(), 'invalid_request'],
        [
          'alg none that names its type',
          () =>
            `${Buffer.from('{"alg":"none","typ":"secevent+jwt"}').toString('base64url')}.${Buffer.from(JSON.stringify(good())).toString('base64url')}.`,
          'invalid_request',
        ],
        [
          'a secret as the key',
          async () =>
            new SignJWT(good())
              .setProtectedHeader({ alg: 'HS256', kid: 'one', typ: 'secevent+jwt' })
              .sign(Buffer.from(JSON.stringify(jwks[0]))),
          'invalid_key',
        ],
        ['a stranger’s signature', () => sign(good(), {}, stranger.privateKey), 'invalid_key'],
        ['a key that nobody knows', () => sign(good(), { kid: 'nobody' }), 'invalid_key'],
        ['another type', () => sign(good(), { typ: 'at+jwt' }), 'invalid_request'],
        ['no type', () => sign(good(), { typ: undefined }), 'invalid_request'],
        ['another issuer', () => sign({ ...good(), iss: 'https://other.example' }), 'invalid_issuer'],
        ['no issuer', () => sign({ ...good(), iss: undefined }), 'invalid_issuer'],
        ['another audience', () => sign({ ...good(), aud: 'https://other.example' }), 'invalid_audience'],
        ['no audience', () => sign({ ...good(), aud: undefined }), 'invalid_audience'],
        ['a subject in sub', () => sign({ ...good(), sub: 'x' }), 'invalid_request'],
        ['an end', () => sign({ ...good(), exp: Math.floor(server.clock.now() / 1000) + 60 }), 'invalid_request'],
        ['no time', () => sign({ ...good(), iat: undefined }), 'invalid_request'],
        ['a time that is text', () => sign({ ...good(), iat: 'now' as unknown as number }), 'invalid_request'],
        ['the future', () => sign({ ...good(), iat: Math.floor(server.clock.now() / 1000) + 120 }), 'invalid_request'],
        [
          'a week ago',
          () => sign({ ...good(), iat: Math.floor(server.clock.now() / 1000) - 8 * 86_400 }),
          'invalid_request',
        ],
        ['no id', () => sign({ ...good(), jti: undefined }), 'invalid_request'],
        ['a long id', () => sign({ ...good(), jti: 'a'.repeat(257) }), 'invalid_request'],
        ['no subject', () => sign({ ...good(), sub_id: undefined }), 'invalid_request'],
        ['a subject that is text', () => sign({ ...good(), sub_id: 'x' }), 'invalid_request'],
        ['no events', () => sign({ ...good(), events: undefined }), 'invalid_request'],
        ['two events', () => sign({ ...good(), events: { a: {}, b: {} } }), 'invalid_request'],
        [
          'an event that nests without end',
          () => sign({ ...good(), events: { a: { b: nested(500) } } }),
          'invalid_request',
        ],
        ['text that is no Unicode', () => sign({ ...good(), events: { a: { b: '\ud800' } } }), 'invalid_request'],
        ['an event with a NUL', () => sign({ ...good(), events: { 'a\u0000': {} } }), 'invalid_request'],
        ['an event that is text', () => sign({ ...good(), events: { a: 'x' } }), 'invalid_request'],
        ['what is huge', () => sign({ ...good(), more: 'a'.repeat(40_000) }), 'invalid_request'],
        [
          'a subject that nests',
          () =>
            sign({
              ...good(),
              sub_id: { format: 'complex', user: { format: 'complex', user: { format: 'opaque', id: 'x' } } },
            }),
          'invalid_request',
        ],
        [
          'a subject that nests without end',
          () =>
            signText(
              JSON.stringify({ ...good(), sub_id: { format: 'opaque' } }).replace(
                '"opaque"',
                `"opaque","id":${deep(2000)}`,
              ),
            ),
          'invalid_request',
        ],
      ];
      for (const [what, made, err] of table) {
        test(what, async () => {
          const { status, body } = await push(await made());
          assert.deepEqual([status, body.err], [400, err], JSON.stringify(body));
          assert.equal(typeof body.description, 'string');
        });
      }

      test('whoever does not show what was made for the source', async () => {
        const set = await sign(good());
        for (const headers of [
          { authorization: 'Bearer x' },
          { authorization: '' },
          { authorization: source.secret.toLowerCase() },
        ]) {
          assert.deepEqual((await push(set, source, headers)).body.err, 'authentication_failed');
        }
        const nowhere = { ...source, push_url: source.push_url.replace(/.$/, (last) => (last === '0' ? '1' : '0')) };
        assert.equal((await push(set, nowhere)).body.err, 'authentication_failed');
      });

      test('another content type', async () => {
        const { status, body } = await push(await sign(good()), source, { 'content-type': 'application/json' });
        assert.deepEqual([status, body.err], [400, 'invalid_request']);
      });

      test('a source that was removed', async () => {
        const gone = await made({});
        await server.admin('DELETE', `/signal-sources/${gone.id}`);
        assert.equal((await push(await sign(good()), gone)).body.err, 'authentication_failed');
      });
    });
  });
}
