/**
 * A token that was stolen with its key and is replayed from elsewhere: refused by a guard that asks nobody, by one that asks, and by
 * the identity provider itself. From a real server, at an API behind each guard.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import {
  createClientAssertion,
  createDpopProof,
  generateJwk,
  type PrivateJwk,
  publicJwk,
  signerFrom,
} from '@bailiwick/protocol';
import { createGuard, type DecisionRecord, type Guard, type GuardOptions } from '../packages/guard/src/index.ts';
import { databases, startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { type TokenClient, tokenClient } from '../packages/server/src/testing/token-client.ts';

const home = '5.9.0.1'; // in DE
const thief = '193.171.0.1'; // in AT
const zones = { office: ['5.9.0.0/16', '127.0.0.0/8', '::1'] };
const operations = [
  { name: 'read', method: 'GET', path: '/{id}', scope: ['tickets:read'], sensitivity: 'low' as const },
];
const from = (address: string) => ({ 'x-forwarded-for': address });

for (const database of databases) {
  describe(`a token is replayed from elsewhere (${database})`, () => {
    let server: TestServer;
    let client: TokenClient;
    let credential: { client_id: string; jwk: PrivateJwk };
    before(async () => {
      server = await startServer({ database, config: { context: { zones } } });
      // as behind a proxy: a test comes from anywhere, and the rule that a public issuer is https is for real ones
      Object.assign(server.deps.config, { trusted_proxies: ['127.0.0.1', '::1'] });
      client = await tokenClient(server);
      const jwk = await generateJwk('ES256');
      const { agent } = await server.admin<{ agent: string }>('POST', '/guards', {
        name: 'tickets-guard',
        resource: client.identifier,
        owner: client.owner,
        jwk: publicJwk(jwk),
      });
      credential = { client_id: agent, jwk };
    });
    after(() => server.close());

    async function tokenFor(ctx: object): Promise<string> {
      const { status, body } = await client.send({ ctx: JSON.stringify(ctx) }, from(home));
      assert.equal(status, 200, JSON.stringify(body));
      return String(body.access_token);
    }

    /** Shows the token with a good proof, and answers the status and why. */
    async function shown(guard: Guard, token: string, remoteAddress: string) {
      const htu = `${client.identifier}/7`;
      const proof = { htm: 'GET', htu, now: server.clock.now(), jti: randomUUID(), accessToken: token };
      const headers = { authorization: [`DPoP ${token}`], dpop: [await createDpopProof(client.signer, proof)] };
      const decision = await guard.decide({ method: 'GET', url: '/tickets/7', headers, remoteAddress });
      return decision.allowed ? 200 : decision.status;
    }

    function guardOf(context: { after(work: () => unknown): void }, more: Partial<GuardOptions>) {
      const records: DecisionRecord[] = [];
      const guard = createGuard({
        issuer: server.issuer,
        resource: client.identifier,
        operations,
        now: server.clock.now,
        onDecision: (record) => records.push(record),
        zones,
        ...more,
      });
      context.after(() => guard.close());
      return { guard, records };
    }

    async function presentedTo(token: string, address: string | undefined): Promise<Record<string, unknown>> {
      const assertion = await createClientAssertion(signerFrom(credential.jwk), {
        clientId: credential.client_id,
        audience: server.issuer,
        now: server.clock.now(),
        jti: randomUUID(),
      });
      const response = await fetch(`${server.issuer}/oauth2/introspect`, {
        method: 'POST',
        body: new URLSearchParams({
          token,
          client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
          client_assertion: assertion,
          ...(address !== undefined && { presenter_address: address }),
        }),
      });
      return (await response.json()) as Record<string, unknown>;
    }

    const limits: [what: string, ctx: object, reason: string][] = [
      ['networks', { ip: ['5.9.0.0/16', '2001:db8::/32'] }, 'ctx.ip'],
      ['a country', { country: ['DE'] }, 'ctx.country'],
      ['a zone', { zone: ['office'] }, 'ctx.zone'],
      ['all of them', { ip: ['5.9.0.0/16'], country: ['DE'], zone: ['office'] }, 'ctx.ip'],
    ];
    for (const [what, ctx, reason] of limits) {
      test(`limited to ${what}: refused by a guard that asks nobody`, async (t) => {
        const { guard, records } = guardOf(t, { mode: 'offline' });
        const token = await tokenFor(ctx);
        assert.equal(await shown(guard, token, home), 200);
        assert.equal(await shown(guard, token, `::ffff:${home}`), 200);
        assert.equal(await shown(guard, token, thief), 401);
        assert.equal(records.at(-1)?.reason, reason);
      });

      test(`limited to ${what}: refused by a guard that asks`, async (t) => {
        const { guard, records } = guardOf(t, { credential, mode: 'introspect' });
        const token = await tokenFor(ctx);
        assert.equal(await shown(guard, token, home), 200);
        assert.equal(await shown(guard, token, thief), 401);
        assert.equal(records.at(-1)?.reason, reason);
        assert.equal(await shown(guard, token, home), 200);
      });

      test(`limited to ${what}: refused by the identity provider itself`, async () => {
        const token = await tokenFor(ctx);
        assert.equal((await presentedTo(token, home)).active, true);
        assert.deepEqual((await presentedTo(token, home)).ctx, ctx);
        assert.deepEqual(await presentedTo(token, thief), { active: false });
        assert.deepEqual(await presentedTo(token, undefined), { active: false });
      });
    }

    test('where guard and identity provider know different networks, both have to agree', async (t) => {
      const { guard, records } = guardOf(t, { credential, mode: 'introspect', zones: { office: ['193.171.0.0/16'] } });
      const token = await tokenFor({ zone: ['office'] });
      assert.equal(await shown(guard, token, thief), 401, 'inside by the guard, outside by the server');
      assert.equal(records.at(-1)?.reason, 'no longer active');
      assert.equal(await shown(guard, token, home), 401, 'the other way round');
      assert.equal(records.at(-1)?.reason, 'ctx.zone');
    });

    test('through a proxy of the API, whatever the thief writes', async (t) => {
      const { guard } = guardOf(t, { credential, trustedProxies: ['10.0.0.0/8'] });
      const token = await tokenFor({ ip: ['5.9.0.0/16'] });
      const through = async (...lines: string[]) => {
        const proof = {
          htm: 'GET',
          htu: `${client.identifier}/7`,
          now: server.clock.now(),
          jti: randomUUID(),
          accessToken: token,
        };
        const headers = {
          authorization: [`DPoP ${token}`],
          dpop: [await createDpopProof(client.signer, proof)],
          'x-forwarded-for': lines,
          forwarded: [`for=${home}`],
        };
        return (await guard.decide({ method: 'GET', url: '/tickets/7', headers, remoteAddress: '10.0.0.1' })).allowed;
      };
      assert.equal(await through(home), true);
      for (const lines of [[thief], [`${home}, ${thief}`], [home, thief], [`${thief}, unknown`], ['']]) {
        assert.equal(await through(...lines), false, lines.join(' | '));
      }
    });

    test('at office hours alone, by the clock of whoever checks', async (t) => {
      const { guard, records } = guardOf(t, { mode: 'offline' });
      const token = await tokenFor({ hours: [{ tz: 'Europe/Berlin', windows: [{ from: '10:00', to: '10:05' }] }] }); // it is 10:00 there
      assert.equal(await shown(guard, token, thief), 200);
      server.clock.advance(5 * 60_000);
      assert.equal(await shown(guard, token, thief), 401);
      assert.equal(records.at(-1)?.reason, 'ctx.hours');
      assert.deepEqual(await presentedTo(token, undefined), { active: false });
      server.clock.advance(-5 * 60_000);
    });

    test('nothing of a widened copy is believed', async (t) => {
      const { guard } = guardOf(t, { mode: 'offline' });
      const [head, body = '', signature] = (await tokenFor({ ip: ['5.9.0.0/16'] })).split('.');
      const claims = JSON.parse(Buffer.from(body, 'base64url').toString());
      const widened = Buffer.from(JSON.stringify({ ...claims, ctx: undefined })).toString('base64url');
      assert.equal(await shown(guard, [head, widened, signature].join('.'), thief), 401);
    });
  });
}
