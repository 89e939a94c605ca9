/**
 * What ends with an agent, sentence by sentence, with every kind of credential: suspending it ends its tokens and instances
 * and disables its credentials until it is resumed; retiring it ends all of it for good. And that credentials end by time.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createDpopProof, generateJwk, publicJwk, signerFrom } from '@bailiwick/protocol';
import { type AdminClient, adminClient } from '../testing/admin-client.ts';
import { makeAuthority, makeCertificate, type TestCertificate } from '../testing/certificates.ts';
import { databases, startServer, type TestServer, testEpoch } from '../testing/harness.ts';
import { instanceClient, newSigner } from '../testing/instance-client.ts';
import { tlsRequest } from '../testing/tls-request.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';
import { bundleOf } from '../testing/trust-bundle.ts';
import { until } from '../testing/until.ts';

const hour = 60 * 60 * 1000;
const day = 24 * hour;
const at = (ms: number) => new Date(ms).toISOString();
const corp = await makeAuthority('CN=Corp CA', { until: testEpoch + 1000 * day });
const partner = await makeAuthority('CN=Partner', { until: testEpoch + 1000 * day });

interface Reply {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of an answer by looking at it
  body: any;
}

/** One credential of an agent, and how it is used. */
interface Way {
  kind: string;
  id: string;
  /** Members of a form that prove the agent, and the certificate of the connection where that does. */
  proof(): Promise<Record<string, string>>;
  certificate?: TestCertificate;
}

/** The kinds by which an agent proves itself; enrolment tokens are apart, since they work once. */
const kinds = ['public_key', 'certificate', 'certificate_subject', 'spiffe_id', 'secret'] as const;

for (const database of databases) {
  describe(`what an agent has ends with it (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;

    before(async () => {
      server = await startServer({ database, config: { dangerously_client_secrets_until: '2030-12-31' } });
      operator = adminClient(server, server.operator);
      await operator.ok('POST', '/trust-domains', { name: 'partner.example', bundle: bundleOf(partner) });
    });
    after(() => server.close());

    /** A new credential of this kind. @param more members of the body, such as an end */
    async function way(client: TokenClient, kind: (typeof kinds)[number], more: object = {}): Promise<Way> {
      const tag = randomBytes(5).toString('hex');
      const add = (body: object) => operator.ok('POST', '/credentials', { agent: client.clientId, ...body, ...more });
      const named = async () => ({ client_id: client.clientId });
      const until = server.clock.now() + 300 * day;
      switch (kind) {
        case 'public_key': {
          const jwk = await generateJwk('ES256');
          const signer = signerFrom(jwk);
          const { id } = await add({ jwk: publicJwk(jwk) });
          return { kind, id, proof: () => instanceClient(server, client).assertion(signer) };
        }
        case 'certificate': {
          const certificate = await makeCertificate({ subject: `CN=${tag}`, until });
          const { id } = await add({ kind, certificate: certificate.pem });
          return { kind, id, proof: named, certificate };
        }
        case 'certificate_subject': {
          const value = `${tag}.example.com`;
          const certificate = await makeCertificate({ subject: 'CN=x', issuer: corp, names: [['dns', value]], until });
          const { id } = await add({ kind, subject: { field: 'san_dns', value, ca: corp.pem } });
          return { kind, id, proof: named, certificate };
        }
        case 'spiffe_id': {
          const spiffe_id = `spiffe://partner.example/${tag}`;
          const certificate = await makeCertificate({ issuer: partner, names: [['url', spiffe_id]], until });
          const { id } = await add({ kind, spiffe_id });
          return { kind, id, proof: async () => ({ client_id: spiffe_id }), certificate };
        }
        case 'secret': {
          const { id, secret } = await add({ kind, expires_at: at(server.clock.now() + 100 * day), ...more });
          return { kind, id, proof: async () => ({ client_id: client.clientId, client_secret: secret }) };
        }
      }
    }

    /** Asks for a token by this way: bound to the certificate of the connection, or else to a key by DPoP. */
    async function ask(client: TokenClient, { proof, certificate }: Way): Promise<Reply> {
      const form = { grant_type: 'client_credentials', ...(await proof()) };
      if (certificate) {
        const reply = await tlsRequest(`${server.mtlsUrl}/oauth2/token`, { form, certificate });
        return { status: reply.status, body: reply.json };
      }
      const dpop = await createDpopProof(client.signer, {
        htm: 'POST',
        htu: `${server.issuer}/oauth2/token`,
        now: server.clock.now(),
        jti: randomBytes(9).toString('base64url'),
        nonce: server.deps.nonces.current(server.clock.now()),
      });
      const body = new URLSearchParams(form);
      const response = await fetch(`${server.issuer}/oauth2/token`, { method: 'POST', headers: { dpop }, body });
      return { status: response.status, body: await response.json() };
    }

    /** Enrols an instance by this way. */
    async function enrol(client: TokenClient, { proof, certificate }: Way) {
      const instances = instanceClient(server, client);
      const signer = await newSigner();
      const body = JSON.stringify(await proof());
      const base = certificate ? server.mtlsUrl : server.issuer;
      const headers = {
        'content-type': 'application/json',
        dpop: await instances.proofBy(signer, 'POST', `${base}/instances`),
      };
      if (!certificate) return { signer, ...(await instances.send('POST', `${base}/instances`, body, headers)) };
      const reply = await tlsRequest(`${base}/instances`, { method: 'POST', form: body, headers, certificate });
      return { signer, status: reply.status, body: reply.json };
    }

    /** An agent that has everything: credentials of each kind, a token and an instance by each, and a guard that asks. */
    async function everything() {
      const client = await tokenClient(server, { agent: { limits: { tokens_per_minute: 10_000 } } });
      const instances = instanceClient(server, client);
      const jwk = await generateJwk('ES256');
      const guard = await operator.ok('POST', '/guards', {
        name: `guard-${randomBytes(5).toString('hex')}`,
        resource: client.resource,
        owner: client.owner,
        jwk: publicJwk(jwk),
      });
      const asks = adminClient(server, { client_id: guard.agent, jwk });
      const ways: Way[] = [];
      for (const kind of kinds) ways.push(await way(client, kind));
      const tokens: Record<string, string> = {};
      const running: Record<string, Awaited<ReturnType<typeof enrol>>> = {};
      for (const one of ways) {
        const got = await ask(client, one);
        assert.equal(got.status, 200, `${one.kind}: ${JSON.stringify(got.body)}`);
        tokens[one.kind] = got.body.access_token;
        const enrolled = await enrol(client, one);
        assert.equal(enrolled.status, 201, `${one.kind}: ${JSON.stringify(enrolled.body)}`);
        running[one.kind] = enrolled;
      }
      const { send, signer } = await instances.prepared();
      running.enrolment_token = { signer, ...(await send()) };
      assert.equal(running.enrolment_token.status, 201);
      for (const [kind, one] of Object.entries(running)) {
        const { status, body } = await instances.tokenOf({ id: one.body.instance, signer: one.signer });
        assert.equal(status, 200, JSON.stringify(body));
        tokens[`an instance by ${kind}`] = body.access_token;
      }
      return { client, instances, asks, ways, tokens, running, unused: await instances.token() };
    }
    type Everything = Awaited<ReturnType<typeof everything>>;

    async function tokensLive({ tokens, asks }: Everything, live: boolean): Promise<void> {
      for (const [kind, token] of Object.entries(tokens)) {
        assert.equal((await asks.introspect(token)).active, live, `the token of ${kind}`);
      }
    }

    async function instancesLive({ running, instances }: Everything, live: boolean): Promise<void> {
      for (const [kind, { body, signer }] of Object.entries(running)) {
        const of = { id: body.instance, signer };
        const { status } = await instances.tokenOf(of);
        assert.equal(status === 200, live, `the instance by ${kind}: ${status}`);
        assert.equal((await instances.call(of, 'POST', '/renew', {})).status === 200, live, `renewing it (${kind})`);
      }
    }

    async function credentialsWork({ client, ways }: Everything, error: string | undefined): Promise<void> {
      for (const one of ways) {
        const asked = await ask(client, one);
        assert.equal(asked.body.error, error, `${one.kind}: ${JSON.stringify(asked.body)}`);
        assert.equal(asked.status === 200, error === undefined);
        const enrolled = await enrol(client, one);
        assert.equal(enrolled.status === 201, error === undefined, `enrolling by ${one.kind}`);
      }
    }

    const standings = async ({ client }: Everything) =>
      new Set(
        (await operator.ok('GET', `/credentials?agent=${client.clientId}&limit=200`)).items
          .filter(({ status }: { status: string }) => status !== 'used')
          .map(({ status }: { status: string }) => status),
      );

    test('suspending: tokens and instances end, credentials are disabled until it is resumed', async () => {
      const all = await everything();
      await tokensLive(all, true);
      await instancesLive(all, true);
      assert.deepEqual(await standings(all), new Set(['active']));

      await operator.ok('POST', `/agents/${all.client.clientId}/suspend`);
      await tokensLive(all, false);
      await instancesLive(all, false);
      await credentialsWork(all, 'unauthorized_client');
      assert.equal((await all.instances.enrol({ token: all.unused.secret })).status === 201, false);
      assert.deepEqual(await standings(all), new Set(['suspended']));

      await operator.ok('POST', `/agents/${all.client.clientId}/resume`);
      await credentialsWork(all, undefined);
      assert.equal((await all.instances.enrol({ token: all.unused.secret })).status, 201, 'the token was not used up');
      assert.deepEqual(await standings(all), new Set(['active']));
      await tokensLive(all, false);
      await instancesLive(all, false);
    });

    test('retiring: all of it ends for good, and neither its name nor its keys are used again', async () => {
      const all = await everything();
      const { clientId } = all.client;
      const { name, owner } = await operator.ok('GET', `/agents/${clientId}`);
      await operator.ok('POST', `/agents/${clientId}/retire`);
      await tokensLive(all, false);
      await instancesLive(all, false);
      await credentialsWork(all, 'invalid_client');
      assert.equal((await all.instances.enrol({ token: all.unused.secret })).status, 401);
      assert.deepEqual(await standings(all), new Set(['removed']));

      assert.equal((await operator.call('POST', `/agents/${clientId}/resume`)).status, 409);
      for (const { id, kind } of all.ways) {
        assert.equal((await operator.call('PATCH', `/credentials/${id}`, { label: 'x' })).status, 409, kind);
        const jwk = publicJwk(await generateJwk('ES256'));
        assert.equal((await operator.call('POST', `/credentials/${id}/rotate`, { jwk })).status, 409, kind);
      }
      const again = { name, owner, kind: 'workload' };
      const reply = await operator.call('POST', '/agents', again);
      assert.deepEqual([reply.status, reply.body.errors[0].field], [409, 'name']);
      const { id } = await operator.ok('POST', '/agents', { ...again, name: `${name}-2` });
      const { items } = await operator.ok('GET', `/credentials?agent=${clientId}&limit=200`);
      for (const { kind, jwk, certificate } of items) {
        if (kind !== 'public_key' && kind !== 'certificate') continue;
        const body = kind === 'certificate' ? { kind, certificate } : { jwk };
        assert.equal((await operator.call('POST', '/credentials', { agent: id, ...body })).status, 409, kind);
      }
    });

    test('removing one credential ends what was got with it, and nothing else', async () => {
      const all = await everything();
      for (const { id, kind } of all.ways) {
        await operator.ok('DELETE', `/credentials/${id}`);
        assert.equal((await all.asks.introspect(all.tokens[kind] as string)).active, false, kind);
        const instance = all.tokens[`an instance by ${kind}`] as string;
        assert.equal((await all.asks.introspect(instance)).active, false, `an instance by ${kind}`);
      }
      const left = all.tokens['an instance by enrolment_token'] as string;
      assert.equal((await all.asks.introspect(left)).active, true);
    });

    test('each ends when its time is up, with nothing but time passing', async () => {
      const client = await tokenClient(server);
      const expires_at = at(server.clock.now() + hour);
      const ways: Way[] = [];
      for (const kind of kinds) ways.push(await way(client, kind, { expires_at }));
      const { secret } = await instanceClient(server, client).token({ lifetime_seconds: 3600 });
      server.clock.advance(hour - 1000);
      for (const one of ways) {
        const { status, body } = await ask(client, one);
        assert.equal(status, 200, `${one.kind}: ${JSON.stringify(body)}`);
        assert.ok(body.expires_in <= 1, `${one.kind}: no token outlives it`);
      }
      server.clock.advance(1000);
      for (const one of ways) {
        const { status, body } = await ask(client, one);
        assert.deepEqual([status, body.error], [401, 'invalid_client'], one.kind);
        assert.equal((await enrol(client, one)).status, 401, one.kind);
      }
      const late = await instanceClient(server, client).enrol({ token: secret });
      assert.deepEqual([late.status, late.body.error], [401, 'invalid_client']);
    });

    test('with an overlap the old and the new both work, until the old one’s end', async () => {
      const client = await tokenClient(server);
      for (const kind of kinds) {
        const old = await way(client, kind);
        const { body } = await ask(client, old);
        const next = await way(client, kind);
        // the new one is there already: what is asked of the route is the end of the old one
        const jwk = publicJwk(await generateJwk('ES256'));
        const { id } = await operator.ok('POST', `/credentials/${old.id}/rotate`, { jwk, overlap_seconds: 3600 });
        for (const one of [old, next]) assert.equal((await ask(client, one)).status, 200, kind);
        const introspected = await instanceClient(server, client).introspect(body.access_token);
        assert.equal(introspected.active, true, `${kind}: tokens from before live on`);
        server.clock.advance(hour);
        assert.deepEqual([(await ask(client, old)).status, (await ask(client, next)).status], [401, 200], kind);
        for (const one of [id, next.id]) await operator.ok('DELETE', `/credentials/${one}`);
      }
    });

    test('the last use of each is shown', async () => {
      const client = await tokenClient(server);
      const used = async (id: string) => (await operator.ok('GET', `/credentials/${id}`)).last_used_at;
      for (const kind of kinds) {
        const one = await way(client, kind);
        assert.equal(await used(one.id), undefined, kind);
        assert.equal((await ask(client, one)).status, 200);
        // noted after the answer: asked for until it is there
        const noted = await until(
          () => used(one.id),
          (time) => time !== undefined,
        );
        assert.equal(noted, at(server.clock.now()), kind);
      }
      const instances = instanceClient(server, client);
      const { id, secret } = await instances.token();
      assert.equal((await instances.enrol({ token: secret })).status, 201);
      const token = await operator.ok('GET', `/credentials/${id}`);
      const now = at(server.clock.now());
      assert.deepEqual([token.status, token.used_at, token.last_used_at], ['used', now, now]);
    });
  });
}
