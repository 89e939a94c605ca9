import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import type { RequestListener } from 'node:http';
import type { ServerOptions } from 'node:https';
import { after, before, suite, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { inspect } from 'node:util';
import { parseCompact } from '@bailiwick/protocol';
import type { TestCertificate } from '../../server/src/testing/certificates.ts';
import { type Agent, type AgentOptions, createAgent, enrol } from './index.ts';
import { createInstanceWorld, type InstanceWorld } from './testing/instances.ts';
import { authority, clientCertificate, listenTls, serverCertificate } from './testing/tls.ts';
import { api, clientId, createWorld, failure, issuer, json, jwk, listen } from './testing.ts';

const minute = 60_000;

let world: InstanceWorld;
let own: TestCertificate;
before(async () => {
  [world, own] = await Promise.all([
    createInstanceWorld({ start: Date.now(), ownFetch: false }),
    authority('CN=Authority of the API'),
  ]);
});
after(() => world?.close());

/** An API of its own registration that takes a token only with the certificate that it is bound to. */
async function listenApi(t: { after(work: () => void): void }, asking: ServerOptions = { rejectUnauthorized: false }) {
  const seen: { x5t: string; bound: string | undefined; scheme: string | undefined; status: number }[] = [];
  const listener: RequestListener = (request, response) => {
    const x5t = hash('sha256', (request.socket as TLSSocket).getPeerCertificate().raw, 'base64url');
    const [scheme, token = ''] = request.headers.authorization?.split(' ') ?? [];
    const { cnf, aud } = parseCompact(token).payload as { cnf: Record<string, string>; aud: string };
    const bound = cnf['x5t#S256'];
    const isGood = aud === url && (bound ?? x5t) === x5t && (scheme === 'DPoP') === (cnf.jkt !== undefined);
    seen.push({ x5t, bound, scheme, status: isGood ? 200 : 401 });
    response.writeHead(isGood ? 200 : 401).end('{}');
  };
  const { url } = await listenTls(t, await serverCertificate(own), { requestCert: true, ...asking }, listener);
  const { admin } = world.server;
  const { id } = await admin<{ id: string }>('POST', '/resources', {
    identifier: url,
    name: `api-${new URL(url).port}`,
    scopes: [{ name: 'things:read' }],
    operations: [{ name: 'all', method: 'GET', path: '/things', scope: ['things:read'], sensitivity: 'low' }],
  });
  const permissions = [{ resource: id, scopes: ['things:read'] }];
  const role = await admin<{ id: string }>('POST', '/roles', { name: `role-${new URL(url).port}`, permissions });
  await admin('PUT', `/agents/${world.agent.id}/roles/${role.id}`);
  const { resources } = await admin<{ resources: object[] }>('GET', `/agents/${world.agent.id}`);
  const wider = [...resources, { resource: url, scope: ['things:read'] }];
  await admin('PATCH', `/agents/${world.agent.id}`, { resources: wider });
  return { url, seen };
}

const cnfOf = async (agent: Agent, resource: string) => {
  const info = await agent.token({ resource });
  const { cnf } = parseCompact(info.dangerouslyExposeToken()).payload as { cnf: Record<string, string> };
  return { members: Object.keys(cnf).sort(), type: info.tokenType };
};

suite('an instance and an API that asks for certificates', () => {
  // first, while the time of the certificates is that of OpenSSL
  test('an API that lets nobody in without one has to be named, since nothing is shown to strangers', async (t) => {
    const roots = await (await fetch(`${world.server.issuer}/spiffe/ca.pem`)).text();
    const { url, seen } = await listenApi(t, { rejectUnauthorized: true, ca: [roots] });
    await using finding = await enrol(await world.options({ ca: own.pem }));
    await assert.rejects(finding.fetch(`${url}/things`), { code: 'network', hint: /option resource/ });
    assert.equal(seen.length, 0);
    await using naming = await enrol(await world.options({ ca: own.pem, resource: url }));
    assert.equal((await naming.fetch(`${url}/things`)).status, 200);
  });

  const bindings = [
    ['dpop', ['jkt'], 'DPoP'],
    ['mtls', ['x5t#S256'], 'Bearer'],
    ['both', ['jkt', 'x5t#S256'], 'DPoP'],
  ] as const;
  for (const [binding, members, type] of bindings) {
    test(`${binding}: its certificate is shown, and what its tokens are bound to is as it was told`, async (t) => {
      const { url, seen } = await listenApi(t);
      const options = await world.options({ resource: url, ca: own.pem, binding });
      await using instance = await enrol(options);
      assert.equal((await instance.fetch(`${url}/things`)).status, 200);
      assert.deepEqual(await cnfOf(instance, url), { members: [...members], type });
      assert.equal(seen.length, 1);
      assert.ok(!inspect(instance, { depth: 20, showHidden: true, getters: true }).includes('PRIVATE'));
    });
  }

  test('a token goes with the certificate that it is bound to, the next one with the next', async (t) => {
    const { url, seen } = await listenApi(t);
    await using instance = await enrol(await world.options({ resource: url, ca: own.pem, binding: 'mtls' }));
    await world.pass(29 * minute);
    for (let i = 0; i < 4; i++) {
      const responses = await Promise.all(Array.from({ length: 10 }, () => instance.fetch(`${url}/things`)));
      assert.ok(responses.every(({ status }) => status === 200));
      await Promise.all([world.pass(1 * minute), ...Array.from({ length: 10 }, () => instance.fetch(`${url}/things`))]);
    }
    assert.equal(new Set(seen.map(({ x5t }) => x5t)).size, 1, 'renewed, it still has a token of before');
    await world.pass(10 * minute);
    assert.equal((await instance.fetch(`${url}/things`)).status, 200);
    assert.equal(new Set(seen.map(({ x5t }) => x5t)).size, 2);
    assert.ok(seen.every(({ status, x5t, bound }) => status === 200 && x5t === bound));
  });

  test('a DPoP token goes with the newest certificate', async (t) => {
    const { url, seen } = await listenApi(t);
    await using instance = await enrol(await world.options({ resource: url, ca: own.pem }));
    await world.pass(29.9 * minute);
    await instance.fetch(`${url}/things`);
    await world.pass(0.2 * minute);
    assert.equal((await instance.fetch(`${url}/things`)).status, 200);
    assert.equal(new Set(seen.map(({ x5t }) => x5t)).size, 2);
  });

  test('an end is an end, on kept connections too', async (t) => {
    const { url, seen } = await listenApi(t);
    const instance = await enrol(await world.options({ resource: url, ca: own.pem, binding: 'mtls' }));
    await instance.fetch(`${url}/things`);
    await instance.end();
    await assert.rejects(instance.fetch(`${url}/things`), { code: 'instance_ended' });
    assert.equal(seen.length, 1);
  });

  test('an API with a certificate that nobody vouches for gets nothing', async (t) => {
    const { url, seen } = await listenApi(t);
    await using instance = await enrol(await world.options({ resource: url }));
    await assert.rejects(instance.fetch(`${url}/things`), { code: 'network', hint: /option ca/ });
    assert.equal(seen.length, 0);
  });
});

suite('an agent with a certificate', () => {
  const me = 'spiffe://elsewhere.example/robin';
  const agentWith = (certificate: TestCertificate, changes: Partial<AgentOptions> = {}) =>
    createAgent({
      issuer: world.server.issuer,
      clientId: world.agent.id,
      certificate: certificate.chain,
      key: certificate.key,
      now: world.server.clock.now,
      ca: own.pem,
      ...changes,
    });
  const register = (credential: object) =>
    world.server.admin('POST', '/credentials', { agent: world.agent.id, ...credential });

  test('is known by a name in it and who issued it (tls_client_auth)', async (t) => {
    const { url } = await listenApi(t);
    const issued = await authority('CN=Authority of agents');
    const subject = { field: 'san_uri', value: 'urn:agent:robin', ca: issued.pem };
    await register({ kind: 'certificate_subject', subject });
    const agent = agentWith(await clientCertificate(issued, 'urn:agent:robin'), { resource: url });
    assert.equal((await agent.fetch(`${url}/things`)).status, 200);
    assert.deepEqual(await cnfOf(agent, url), { members: ['x5t#S256'], type: 'Bearer' });
    const other = agentWith(await clientCertificate(issued, 'urn:agent:somebody'));
    await assert.rejects(other.token({ resource: url }), { code: 'invalid_client' });
    assert.ok(!inspect(agent, { depth: 20, showHidden: true }).includes('PRIVATE'));
  });

  test('is known by the certificate itself (self_signed_tls_client_auth), and bound by a key as well', async (t) => {
    const { url } = await listenApi(t);
    const certificate = await authority('CN=robin');
    await register({ kind: 'certificate', certificate: certificate.pem });
    const agent = agentWith(certificate, { binding: 'both' });
    assert.deepEqual(await cnfOf(agent, url), { members: ['jkt', 'x5t#S256'], type: 'DPoP' });
    assert.equal((await agent.fetch(`${url}/things`, { resource: url })).status, 200);
  });

  test('gives nothing to an issuer that another authority vouches for', async (t) => {
    let visits = 0;
    const impostor = await listenTls(t, await serverCertificate(await authority('CN=Impostor')), {}, (_, response) => {
      visits++;
      response.end('{}');
    });
    const origin = await listen(t, (request, response) => {
      const isMetadata = request.url?.startsWith('/.well-known') === true;
      const metadata = { issuer: origin, token_endpoint: `${origin}/token` };
      const aliases = { mtls_endpoint_aliases: { token_endpoint: `${impostor.url}/token` } };
      response.writeHead(isMetadata ? 200 : 404).end(JSON.stringify({ ...metadata, ...aliases }));
    });
    const agent = agentWith(await clientCertificate(own, me), { issuer: origin });
    await assert.rejects(agent.token(), { code: 'network', message: /UNABLE_TO_VERIFY|SELF_SIGNED/ });
    assert.equal(visits, 0);
  });

  test('is refused when it does not fit', async () => {
    const certificate = await clientCertificate(own, me);
    const other = await clientCertificate(own, me);
    const signs = { alg: 'ES256', kid: 'x', publicJwk: {}, sign: () => new Uint8Array(64) } as never;
    const cases: [changes: Partial<AgentOptions>, code: string][] = [
      [{ key: other.key }, 'bad_key'],
      [{ key: signs }, 'bad_key'],
      [{ key: 'PEM' }, 'bad_key'],
      [{ key: undefined as never }, 'bad_key'],
      [{ certificate: '/etc/robin.pem' }, 'bad_option'],
      [{ ca: '/etc/ca.pem' }, 'bad_option'],
      [{ binding: 'dpop' }, 'bad_option'],
      [{ svid: async () => 'x' }, 'bad_option'],
      [{ fetch }, 'bad_option'],
      [{ certificate: undefined as never, binding: 'mtls' }, 'bad_option'],
      [{ certificate: undefined as never, svid: async () => 'x' }, 'bad_option'],
    ];
    for (const [changes, code] of cases) {
      assert.throws(
        () => agentWith(certificate, changes),
        (error: { code?: string }) => {
          assert.equal(error.code, code, JSON.stringify(changes));
          assert.ok(!inspect(error, { showHidden: true }).includes(certificate.key.slice(40, 80)));
          return true;
        },
      );
    }
  });
});

suite('an agent with an SVID of elsewhere', () => {
  test('shows a new one each time it asks, and is bound to a key all the same', async () => {
    let count = 0;
    const world = createWorld({ key: undefined, svid: async () => `svid.of.${++count}` } as Partial<AgentOptions>);
    const forms: URLSearchParams[] = [];
    world.host(issuer, async (request) => {
      if (request.method === 'GET') return json({ issuer, token_endpoint: `${issuer}/oauth2/token` });
      forms.push(new URLSearchParams(await request.text()));
      assert.ok(request.headers.has('dpop'));
      return json({ access_token: `secret.${forms.length}`, token_type: 'DPoP', expires_in: 600 });
    });
    await world.agent.token({ resource: api });
    await world.agent.token({ resource: `${api}/x` });
    assert.deepEqual(
      forms.map((form) => [form.get('client_id'), form.get('client_assertion')]),
      [
        [clientId, 'svid.of.1'],
        [clientId, 'svid.of.2'],
      ],
    );
    assert.match(forms[0]?.get('client_assertion_type') ?? '', /:jwt-spiffe$/);
    assert.ok(!forms[0]?.toString().includes(jwk.d));
  });

  test('that can not be had: the error of whoever brings it', async () => {
    const bring = () => Promise.reject(new Error('no socket'));
    const world = createWorld({ key: undefined, svid: bring } as Partial<AgentOptions>);
    await assert.rejects(world.agent.token(), /no socket/);
    assert.equal(world.tokenRequests().length, 0);
    assert.equal((await failure(createWorld(), () => createWorld().agent.token({ resource: 'x' }))).code, 'bad_url');
  });
});
