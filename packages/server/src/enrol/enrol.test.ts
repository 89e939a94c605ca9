/** The roads that instances go, over HTTP: enrolled, with a token, renewed, with children, ended. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { thumbprint } from '@bailiwick/protocol';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { type InstanceClient, instanceClient, newSigner } from '../testing/instance-client.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const claimsIn = (token: unknown) =>
  JSON.parse(Buffer.from(String(token).split('.')[1] as string, 'base64url').toString()) as Record<string, unknown>;

const hour = 3600_000;

for (const database of databases) {
  describe(`instances, on ${database}`, () => {
    let server: TestServer;
    let client: TokenClient;
    let at: InstanceClient;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      client = await tokenClient(server);
      at = instanceClient(server, client);
    });
    after(() => server.close());

    const iso = (ms: number) => new Date(server.clock.now() + ms).toISOString();
    const eventsOf = async (query: string) =>
      // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of an event by looking at it
      (await server.admin<{ items: any[] }>('GET', `/events?${query}`)).items;

    test('an enrolment token enrols an instance, once, and what is known of it says from where', async () => {
      const { secret } = await at.token({ attributes: { zone: 'eu-1' } });
      const first = await at.prepared({ token: secret, body: { attributes: { image: 'desk:7' } } });
      const { status, headers, body } = await first.send();
      assert.equal(status, 201, JSON.stringify(body));
      assert.equal(headers.get('location'), `${server.issuer}/instances/${body.instance}`);
      assert.equal(headers.get('cache-control'), 'no-store');
      assert.equal(body.client_id, client.clientId);
      assert.match(body.spiffe_id, new RegExp(`^spiffe://localhost/default/agent-[0-9a-f]+/${body.instance}$`));
      assert.equal(body.expires_at, iso(hour));
      assert.equal(body.renew_at, iso(hour / 2));
      assert.deepEqual(body.attributes, {
        zone: { value: 'eu-1', provenance: 'orchestrated' },
        image: { value: 'desk:7', provenance: 'declared' },
        address: { value: '127.0.0.1', provenance: 'observed' },
      });
      const second = await at.enrol({ token: secret });
      assert.equal(second.status, 401);
      assert.equal(second.body.error, 'invalid_client');
    });

    test('an agent enrols by its own key', async () => {
      const { status, body } = await at.enrolByKey({ body: { lifetime_seconds: 60 } });
      assert.equal(status, 201, JSON.stringify(body));
      assert.equal(body.expires_at, iso(60_000));
    });

    test('enrol and issue: one round trip, bound to the key of the proof', async () => {
      const signer = await newSigner();
      const { status, body } = await at.enrol({ signer, body: { token: { scope: 'tickets:write' } } });
      assert.equal(status, 201, JSON.stringify(body));
      const claims = claimsIn(body.token.access_token);
      assert.equal(body.token.token_type, 'DPoP');
      assert.equal(claims.sub, body.spiffe_id);
      assert.equal(claims.instance, body.instance);
      assert.equal(claims.scope, 'tickets:write');
      assert.deepEqual(claims.cnf, { jkt: thumbprint(signer.publicJwk) });
      assert.equal((await at.introspect(body.token.access_token)).active, true);
    });

    test('a token that is refused enrols nothing, and leaves the enrolment token as it was', async () => {
      const { secret } = await at.token();
      const refused = await at.enrol({ token: secret, body: { token: { scope: 'tickets:delete' } } });
      assert.equal(refused.status, 400);
      assert.equal(refused.body.error, 'invalid_scope');
      assert.equal((await at.enrol({ token: secret })).status, 201);
    });

    test('an instance gets tokens by its own key, and they end with it', async () => {
      const instance = await at.instance({ body: { lifetime_seconds: 120 } });
      const { status, body } = await at.tokenOf(instance);
      assert.equal(status, 200, JSON.stringify(body));
      const claims = claimsIn(body.access_token);
      assert.equal(claims.instance, instance.id);
      assert.equal(claims.sub, instance.answer.spiffe_id);
      assert.equal(body.expires_in, 120, 'no token outlives its instance');
      const seen = await at.introspect(body.access_token);
      assert.equal(seen.instance, instance.id);
      assert.equal((await at.call(instance, 'DELETE')).status, 204);
      assert.deepEqual(await at.introspect(body.access_token), { active: false });
      assert.equal((await at.tokenOf(instance)).status, 401);
      assert.equal((await at.call(instance, 'GET')).status, 401);
    });

    test('an instance renews by its key, and sees itself', async () => {
      const instance = await at.instance();
      server.clock.advance(hour / 2);
      const { status, body } = await at.call(instance, 'POST', '/renew', {});
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(body.instance, instance.id);
      assert.equal(body.expires_at, iso(hour));
      const seen = await at.call(instance, 'GET');
      assert.equal(seen.status, 200);
      assert.equal(seen.body.expires_at, iso(hour));
      server.clock.advance(hour);
      assert.equal((await at.call(instance, 'POST', '/renew', {})).status, 401, 'its time is up');
      assert.equal((await at.tokenOf(instance)).status, 401);
    });

    test('children have keys of their own, less than their parent, and end with it', async () => {
      const parent = await at.instance({ body: { lifetime_seconds: 600 } });
      const child = await at.child(parent, {
        name: 'researcher',
        allowed: [{ resource: client.identifier, scope: 'tickets:read' }],
        lifetime_seconds: 3600,
      });
      assert.equal(child.status, 201, JSON.stringify(child.body));
      assert.equal(child.body.parent, parent.id);
      assert.equal(child.body.name, 'researcher');
      assert.equal(child.body.expires_at, iso(600_000), 'never after its parent');
      const token = await at.tokenOf(child, { scope: 'tickets:read' });
      assert.equal(token.status, 200, JSON.stringify(token.body));
      assert.equal((await at.tokenOf(child, { scope: 'tickets:write' })).body.error, 'invalid_scope');
      assert.equal((await at.child(parent, { name: 'researcher' })).status, 400, 'its name is taken while it lives');
      assert.equal((await at.call({ id: child.id, signer: parent.signer }, 'GET')).status, 200);
      assert.equal((await at.call(parent, 'DELETE')).status, 204);
      assert.deepEqual(await at.introspect(token.body.access_token), { active: false });
      assert.equal((await at.tokenOf(child)).status, 401);
      const [ended] = await eventsOf(`type=instance.ended&target=${parent.id}`);
      assert.deepEqual(ended.decided_on.children, [child.id]);
    });

    test('suspending an agent ends its instances for good: resuming does not revive them', async () => {
      const own = await tokenClient(server);
      const its = instanceClient(server, own);
      const instance = await its.instance();
      const { body } = await its.tokenOf(instance);
      await server.admin('POST', `/agents/${own.clientId}/suspend`, {});
      assert.equal((await its.call(instance, 'GET')).status, 401);
      await server.admin('POST', `/agents/${own.clientId}/resume`);
      assert.equal((await its.call(instance, 'GET')).status, 401);
      assert.equal((await its.call(instance, 'POST', '/renew', {})).status, 401);
      assert.equal((await its.tokenOf(instance)).status, 401);
      assert.deepEqual(await its.introspect(body.access_token), { active: false });
      assert.equal((await its.enrolByKey()).status, 201);
    });

    test('retiring an agent ends its instances, and so does suspending its organization, for good', async () => {
      const own = await tokenClient(server);
      const its = instanceClient(server, own);
      const instance = await its.instance();
      await server.admin('POST', `/agents/${own.clientId}/retire`, {});
      assert.equal((await its.call(instance, 'GET')).status, 401);
      assert.equal((await its.tokenOf(instance)).status, 401);
      const acme = await server.admin<{ id: string }>('POST', '/organizations', { name: 'acme' });
      const elsewhere = {
        ...server,
        admin: ((method: string, to: string, body?: unknown) =>
          server.admin(
            method,
            /^\/(resources|roles|people|agents)$/.test(to) ? `${to}?organization=acme` : to,
            body,
          )) as TestServer['admin'],
      };
      const there = await tokenClient(elsewhere);
      const theirs = instanceClient(server, there);
      const one = await theirs.instance();
      assert.equal((await theirs.tokenOf(one)).status, 200);
      await server.admin('POST', `/organizations/${acme.id}/suspend`, {});
      assert.equal((await theirs.tokenOf(one)).status, 401);
      await server.admin('POST', `/organizations/${acme.id}/resume`);
      assert.equal((await theirs.tokenOf(one)).status, 401);
      const { items } = await server.admin<{ items: { status: string }[] }>('GET', '/instances?organization=acme');
      assert.deepEqual(
        items.map(({ status }) => status),
        ['ended'],
      );
      assert.equal((await theirs.enrolByKey()).status, 201);
    });

    test('an instance gives up its own tokens and its children’s, and no others', async () => {
      const [one, two] = [await at.instance(), await at.instance()];
      const child = await at.child(one);
      const revoke = async (by: typeof one, token: string) =>
        (
          await fetch(`${server.issuer}/oauth2/revoke`, {
            method: 'POST',
            body: new URLSearchParams({ ...(await at.assertion(by.signer)), token }),
          })
        ).status;
      const tokens = [];
      for (const each of [one, two, child]) tokens.push((await at.tokenOf(each)).body.access_token as string);
      const [own, sibling, childs] = tokens as [string, string, string];
      assert.equal(await revoke(one, sibling), 400);
      assert.equal((await at.introspect(sibling)).active, true);
      assert.equal(await revoke({ ...child, answer: {} }, own), 400, 'a child can not end its parent’s');
      assert.equal(await revoke(one, childs), 200);
      assert.equal(await revoke(one, own), 200);
      assert.equal((await at.introspect(childs)).active, false);
      assert.equal((await at.introspect(own)).active, false);
      assert.equal((await at.call(one, 'GET')).status, 200, 'the instance lives on');
    });

    test('the key of a living instance can not become a credential', async () => {
      const { signer } = await at.instance();
      const refused = server.admin('POST', '/credentials', { agent: client.clientId, jwk: signer.publicJwk });
      await assert.rejects(refused, /409/);
    });

    test('ending what enrolled them ends instances', async () => {
      const { id, secret } = await at.token();
      const signer = await newSigner();
      const { body } = await at.enrol({ signer, token: secret, body: { token: {} } });
      server.clock.advance(30 * 60_000);
      const renewed = await at.call({ id: body.instance, signer }, 'POST', '/renew', { token: {} });
      assert.equal(renewed.status, 200, 'an enrolment token that was used in time has done its part');
      await server.admin('DELETE', `/credentials/${id}`);
      assert.equal((await at.call({ id: body.instance, signer }, 'POST', '/renew', {})).status, 401);
      assert.deepEqual(await at.introspect(renewed.body.token.access_token), { active: false });
    });

    test('no more instances live at once than the template says, however many ask at the same time', async () => {
      const own = await tokenClient(server, { agent: { instances: { live_at_most: 3 } } });
      const its = instanceClient(server, own);
      const requests = await Promise.all(
        Array.from({ length: 10 }, async () => its.prepared({ token: null, body: await its.assertion() })),
      );
      const answers = await Promise.all(requests.map(async ({ send, signer }) => ({ ...(await send()), signer })));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 201, 201, 429, 429, 429, 429, 429, 429, 429]);
      const [one] = answers.filter(({ status }) => status === 201);
      assert.equal((await its.enrolByKey()).status, 429);
      await its.call({ id: one?.body.instance, signer: one?.signer as never }, 'DELETE');
      assert.equal((await its.enrolByKey()).status, 201, 'a place that was given up is free');
      assert.equal((await its.enrolByKey()).status, 429);
      await server.admin('POST', `/agents/${own.clientId}/suspend`, {});
      await server.admin('POST', `/agents/${own.clientId}/resume`);
      for (let n = 0; n < 3; n++) assert.equal((await its.enrolByKey()).status, 201, 'so are those of the suspended');
      assert.equal((await its.enrolByKey()).status, 429);
      server.clock.advance(hour);
      for (let n = 0; n < 3; n++) assert.equal((await its.enrolByKey()).status, 201, 'and those whose time is up');
      assert.equal((await its.enrolByKey()).status, 429);
    });
  });
}
