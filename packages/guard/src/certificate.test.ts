import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificateThumbprint, thumbprint } from '@bailiwick/protocol';
import { createGuard, type GuardRequest } from './index.ts';
import { client, stranger } from './testing/adapter-world.ts';
import { fakeAgent, fakeIssuer, quiet } from './testing/fake-issuer.ts';

const header = `:${client.der.toString('base64')}:`;
const proxies = ['10.0.0.7', '2001:db8::/64'];

async function decide(changes: Partial<GuardRequest>, cnf: Record<string, string> | undefined = x5t) {
  const fake = await fakeIssuer();
  const runtime = quiet(fake);
  const guard = createGuard(fake.options({ clientCertificate: { proxies }, runtime }));
  const token = await fake.token({ cnf });
  const { headers, ...more } = changes;
  const request = { method: 'GET', url: '/v1/tickets', headers: { authorization: [`Bearer ${token}`], ...headers } };
  return { decision: await guard.decide({ ...request, ...more }), problems: runtime.problems };
}

const x5t = { 'x5t#S256': certificateThumbprint(client.der) };

for (const [from, remoteAddress, allowed] of [
  ['the proxy', '10.0.0.7', true],
  ['the proxy, as IPv6 writes it', '::ffff:10.0.0.7', true],
  ['one of the network', '2001:db8::7', true],
  ['a neighbour', '10.0.0.8', false],
  ['the network next to it', '2001:db8:0:1::7', false],
  ['loopback', '127.0.0.1', false],
  ['nobody knows where (a socket without an address)', undefined, false],
  ['what is no address', 'proxy.example', false],
] as const) {
  test(`Client-Cert from ${from} is ${allowed ? 'believed' : 'ignored'}`, async () => {
    const { decision } = await decide({ remoteAddress, headers: { 'client-cert': [header] } });
    assert.equal(decision.allowed, allowed);
  });
}

test('who the proxy forwards for is no proxy by that', async () => {
  const headers = { 'client-cert': [header], 'x-forwarded-for': ['10.0.0.7'] };
  assert.equal((await decide({ remoteAddress: '192.0.2.7', headers })).decision.allowed, false);
});

test('a header that cannot be read is refused, and the operator hears of it', async () => {
  const { decision, problems } = await decide({ remoteAddress: '10.0.0.7', headers: { 'client-cert': ['MIIB'] } });
  assert.ok(!decision.allowed);
  assert.deepEqual([decision.status, decision.problem?.error], [401, 'invalid_token']);
  assert.match(problems.join(), /proxy passes certificates on in a way that can't be read/);
});

test('the certificate is not asked for unless a token is bound to one', async () => {
  const certificate = () => assert.fail('asked for');
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options());
  assert.equal((await guard.decide({ ...(await agent.request()), certificate })).allowed, true);
  assert.equal((await decide({ certificate }, undefined)).decision.allowed, false);
});

test('a certificate that cannot be had means no', async () => {
  const certificate = () => {
    throw new Error('secret');
  };
  const { decision } = await decide({ certificate });
  assert.ok(!decision.allowed);
  assert.equal(decision.status, 500);
  assert.doesNotMatch(decision.body, /secret/);
});

test('a proof is not spent by a request with another certificate', async () => {
  const fake = await fakeIssuer();
  const agent = await fakeAgent(fake);
  const guard = createGuard(fake.options());
  const request = await agent.request('GET', '/tickets', {
    claims: { cnf: { jkt: thumbprint(agent.signer.publicJwk), ...x5t } },
  });
  assert.equal((await guard.decide({ ...request, certificate: () => stranger.der })).allowed, false);
  assert.equal((await guard.decide({ ...request, certificate: () => client.der })).allowed, true);
});
