/** The sidecar over HTTP, asked in every dialect as the proxies of that dialect ask (dialect.ts cites where that is read). */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, type TestContext, test } from 'node:test';
import { parseChallenges } from '@bailiwick/protocol';
import { testCertificate } from '../testing/certificates.ts';
import { operations, resource, resourceId } from '../testing/fake-issuer.ts';
import { type Asking, type Reply, type SidecarWorld, sidecarWorld } from '../testing/sidecar-world.ts';
import { type DialectName, dialects } from './dialect.ts';
import { identityHeaders } from './reply.ts';

/** What the client hears: nginx builds it from headers, as the configuration that we ship has it. */
function heard(
  dialect: DialectName,
  { status, headers, body }: Reply,
): { status: number; problem: Record<string, unknown> } {
  if (dialect !== 'nginx') return { status, problem: JSON.parse(body || '{}') };
  const real = Number(headers['x-bailiwick-status'] ?? status);
  assert.ok([401, 403].includes(status), 'nginx knows no other answer');
  return { status: real, problem: JSON.parse(String(headers['x-bailiwick-problem'])) };
}

function heardStatus(dialect: DialectName, reply: Reply): number {
  return reply.status === 200 ? 200 : heard(dialect, reply).status;
}

for (const dialect of Object.keys(dialects) as DialectName[]) {
  describe(`a sidecar asked by ${dialect}`, () => {
    let world: SidecarWorld;
    before(async () => {
      world = await sidecarWorld(dialect, [], { operations });
    });
    after(() => world.end());

    test('lets through with 200, and tells who calls', async () => {
      const task = { id: 'tsk_1', workflow: 'triage' };
      const reply = await world.ask('GET', '/v1/tickets/7?x=1', { claims: { task, sub: 'per_ü%\r\n1' } });
      assert.deepEqual([reply.status, reply.body], [200, '']);
      const { headers } = reply;
      assert.equal(headers['x-bailiwick-agent'], 'agt_reader');
      assert.equal(headers['x-bailiwick-subject'], 'per_%C3%BC%25%0D%0A1');
      assert.equal(headers['x-bailiwick-organization'], 'org_default');
      assert.equal(headers['x-bailiwick-scope'], 'tickets:read');
      assert.equal(headers['x-bailiwick-task'], 'tsk_1');
      assert.equal(headers['x-bailiwick-operation'], 'read ticket');
      assert.equal(headers['cache-control'], 'no-store');
    });

    test('says every one of its headers, also where there is nothing to say', async () => {
      const { headers } = await world.ask();
      for (const name of identityHeaders) assert.equal(typeof headers[name], 'string', name);
      assert.equal(headers['x-bailiwick-task'], '');
    });

    test('tells for whom the agent acts, and through whom', async () => {
      const [first, second] = ['spiffe://id.example/default/reader', 'spiffe://id.example/default/lead'];
      const act = { sub: first, act: { sub: second } };
      const { headers } = await world.ask('GET', '/v1/tickets', { claims: { sub: 'per_1', sub_profile: 'user', act } });
      assert.equal(headers['x-bailiwick-person'], 'per_1');
      assert.equal(headers['x-bailiwick-chain'], `${first} ${second}`);
      const itself = await world.ask();
      assert.deepEqual([itself.headers['x-bailiwick-person'], itself.headers['x-bailiwick-chain']], ['', '']);
    });

    test('takes transaction tokens in place of access tokens where it is told to, and tells of which transaction', async (context) => {
      const inside = await sidecarWorld(dialect, ['--transactions', 'prod.example']);
      context.after(() => inside.end());
      const { fake } = inside;
      const [gateway, clerk] = ['spiffe://prod.example/default/gateway', 'spiffe://prod.example/default/clerk'];
      const claims = {
        aud: 'prod.example',
        txn: 't-1',
        req_wl: clerk,
        req_wl_before: [gateway],
        resources: [resourceId],
      };
      const token = await fake.token(claims, { typ: 'txntoken+jwt' });
      const { status, headers } = await inside.ask('GET', '/v1/tickets', { client: ['Txn-Token', token] });
      assert.equal(status, 200);
      assert.equal(headers['x-bailiwick-txn'], 't-1');
      assert.equal(headers['x-bailiwick-requesters'], `${gateway} ${clerk}`);
      assert.equal(headers['x-bailiwick-agent'], 'agt_reader');
      const refused = await inside.ask();
      assert.equal(heardStatus(dialect, refused), 400);
    });

    const refusals: [
      what: string,
      status: number,
      error: string | undefined,
      method: string,
      uri: string,
      asking?: Asking,
    ][] = [
      ['no token', 401, undefined, 'GET', '/v1/tickets', { client: [] }],
      [
        'a token that is none',
        401,
        'invalid_token',
        'GET',
        '/v1/tickets',
        { client: ['authorization', 'DPoP x.y.z', 'dpop', 'x'] },
      ],
      ['a token without its proof', 401, 'invalid_token', 'GET', '/v1/tickets', { claims: { cnf: undefined } }],
      [
        'two Authorization headers',
        400,
        'invalid_request',
        'GET',
        '/v1/tickets',
        { client: ['authorization', 'DPoP a', 'authorization', 'DPoP b'] },
      ],
      ['a scope that is missing', 403, 'insufficient_scope', 'POST', '/v1/tickets/7/close'],
      [
        'another method than the proof is for',
        401,
        'invalid_dpop_proof',
        'GET',
        '/v1/tickets',
        { proof: { htm: 'POST' } },
      ],
      [
        'a proof for the Host that it was sent to',
        401,
        'invalid_dpop_proof',
        'GET',
        '/v1/tickets',
        { proof: { htu: 'http://sidecar/v1/tickets' } },
      ],
      ['a method that is not listed', 403, undefined, 'PATCH', '/v1/tickets'],
      ['a path that is not listed', 403, undefined, 'GET', '/v1/secrets'],
      ['a path outside of the resource', 401, 'invalid_dpop_proof', 'GET', '/v2/tickets'],
      ['a path above the resource', 403, undefined, 'GET', '/v1'],
      ['encoded slashes', 400, 'invalid_request', 'GET', '/v1%2Ftickets'],
      ['an encoded slash within', 400, 'invalid_request', 'GET', '/v1/tickets/7%2fclose'],
      ['dot segments', 400, 'invalid_request', 'GET', '/v1/x/../tickets'],
      ['encoded dot segments', 400, 'invalid_request', 'GET', '/v1/x/%2e%2e/tickets'],
      ['half-encoded dot segments', 400, 'invalid_request', 'GET', '/v1/x/.%2E/tickets'],
      ['double slashes', 400, 'invalid_request', 'GET', '/v1//tickets'],
      ['a double slash at the start', 400, 'invalid_request', 'GET', '//v1/tickets'],
      ['a host after the slashes', 400, 'invalid_request', 'GET', '//evil.example/v1/tickets'],
      ['backslashes', 400, 'invalid_request', 'GET', '/v1\\tickets'],
      ['double encoding', 403, undefined, 'GET', '/v1/x/%252e%252e/tickets'],
      ['a NUL', 400, 'invalid_request', 'GET', '/v1/tickets%00'],
      ['a line end', 400, 'invalid_request', 'GET', '/v1/tickets%0d%0aX-Bailiwick-Agent:%20me'],
      ['letters that are encoded', 400, 'invalid_request', 'GET', '/v1/%74ickets'],
      ['a token in the URL', 400, 'invalid_request', 'GET', '/v1/tickets?access_token=x'],
      ['a token of elsewhere', 401, 'invalid_token', 'GET', '/v1/tickets', { claims: { ctx: { ip: ['10.0.0.0/8'] } } }],
      [
        'a token of elsewhere, whose client says that it is there',
        401,
        'invalid_token',
        'GET',
        '/v1/tickets',
        {
          claims: { ctx: { ip: ['10.0.0.0/8'] } },
          proxy: {
            'x-forwarded-for': '10.0.0.7, 192.0.2.7',
            forwarded: 'for=10.0.0.7',
            'x-real-ip': '10.0.0.7',
            'x-envoy-external-address': '10.0.0.7',
          },
        },
      ],
      [
        'a token of the proxy’s own address',
        401,
        'invalid_token',
        'GET',
        '/v1/tickets',
        { claims: { ctx: { ip: ['127.0.0.1'] } } },
      ],
      ['no address of the client', 500, undefined, 'GET', '/v1/tickets', { proxy: { 'x-forwarded-for': undefined } }],
      ['an empty address of the client', 500, undefined, 'GET', '/v1/tickets', { proxy: { 'x-forwarded-for': '' } }],
    ];
    for (const [what, status, error, method, uri, asking] of refusals) {
      test(`refuses ${what}`, async () => {
        const reply = await world.ask(method, uri, asking);
        assert.ok(reply.status >= 400, 'no proxy takes that for a yes');
        const expected = dialect === 'envoy' && status >= 500 ? 403 : status;
        const told = heard(dialect, reply);
        assert.deepEqual([told.status, told.problem.error], [expected, error], reply.body);
        for (const name of identityHeaders) assert.equal(reply.headers[name], undefined);
      });
    }

    test('challenges travel in one line, and say what is needed', async () => {
      const { headers } = await world.ask('POST', '/v1/tickets/7/close');
      const [challenge] = parseChallenges(String(headers['www-authenticate']));
      assert.equal(challenge?.params.scope, 'tickets:read tickets:write');
      const { headers: none } = await world.ask('GET', '/v1/tickets', { client: [] });
      const [first] = parseChallenges(String(none['www-authenticate']));
      assert.equal(first?.params.resource_metadata, 'https://api.example/.well-known/oauth-protected-resource/v1');
    });

    test('the headers of other dialects are a client’s: not read', async () => {
      const others: Record<string, string> = {
        'x-original-method': 'GET',
        'x-original-uri': '/v1/tickets',
        'x-original-url': '/v1/tickets',
        'x-forwarded-method': 'GET',
        'x-forwarded-uri': '/v1/tickets',
        'x-envoy-original-path': '/v1/tickets',
        'x-rewrite-url': '/v1/tickets',
        'x-http-method-override': 'GET',
      };
      const own = Object.values(dialects[dialect].headers ?? {});
      for (const name of own) delete others[name];
      const reply = await world.ask('DELETE', '/v1/tickets/7', { proxy: others });
      assert.equal(heard(dialect, reply).status, 403);
    });

    test('a certificate that nobody vouches for is not read', async () => {
      const claims = { cnf: { 'x5t#S256': 'x'.repeat(43) } };
      const token = await world.agent.token(claims);
      const client = ['authorization', `Bearer ${token}`, 'client-cert', `:${Buffer.from('x').toString('base64')}:`];
      const reply = await world.ask('GET', '/v1/tickets', { client });
      assert.equal(heard(dialect, reply).status, 401);
      assert.match(String(heard(dialect, reply).problem.detail), /this resource sees none/);
    });

    test('the metadata is answered at its path, to everybody, and never behind the check', async () => {
      const metadata = await world.raw('/.well-known/oauth-protected-resource/v1');
      assert.equal(metadata.status, 200);
      assert.equal(JSON.parse(metadata.body).resource, resource);
      assert.equal((await world.raw('/.well-known/oauth-protected-resource/v1', [], 'POST')).status, 405);
      const asked = await world.ask('GET', '/.well-known/oauth-protected-resource/v1', { client: [] });
      assert.equal(heard(dialect, asked).status, 403, 'a 200 would let it through');
      assert.match(JSON.stringify(world.lines), /pass that on to the sidecar/);
    });

    test('a proof passes once', async () => {
      const { headers } = await world.agent.request('GET', '/tickets');
      const client = ['authorization', headers.authorization![0]!, 'dpop', headers.dpop![0]!];
      const twice = await Promise.all([1, 2].map(() => world.ask('GET', '/v1/tickets', { client })));
      assert.deepEqual(twice.map(({ status }) => status).sort(), [200, 401]);
    });

    test('what a HEAD asks is what a GET may', async () => {
      assert.equal((await world.ask('HEAD', '/v1/tickets')).status, 200);
    });

    test('while the identity provider is away: no, whatever that is to this proxy', async (context) => {
      const cut = await open(context, dialect);
      cut.fake.away = true;
      const reply = await cut.ask();
      const told = heard(dialect, reply);
      assert.equal(told.status, dialect === 'envoy' ? 403 : 503);
      assert.equal(told.problem.status, 503);
      assert.equal(reply.headers['retry-after'], '1');
      assert.equal((await cut.raw('/readyz')).status, 503);
      assert.equal((await cut.raw('/healthz')).status, 200);
      assert.equal(await cut.end(), 0);
    });

    const { headers: named } = dialects[dialect];
    if (named !== undefined) {
      const { method, uri } = named;
      test('an absolute URI is no path, and a method in small letters no method', async () => {
        const absolute = await world.ask('GET', '/v1/tickets', { proxy: { [uri]: `${resource}/tickets` } });
        assert.equal(heard(dialect, absolute).status, 400);
        const small = await world.ask('get', '/v1/tickets');
        assert.equal(heard(dialect, small).status, 403);
      });

      test('a proxy that says not, or twice, what was asked gets no yes', async () => {
        for (const proxy of [
          { [uri]: undefined },
          { [uri]: '' },
          { [uri]: ['/v1/tickets', '/v1/tickets'] },
          { [method]: undefined },
          { [method]: ['GET', 'GET'] },
        ]) {
          assert.equal(heard(dialect, await world.ask('GET', '/v1/tickets', { proxy })).status, 500);
        }
        assert.equal(
          (await world.ask('GET', '/v1/tickets', { proxy: { 'X-FORWARDED-FOR': '192.0.2.9' } })).status,
          200,
        );
        assert.equal((await world.raw('/check/v1/tickets')).status, 404, 'only Envoy asks there');
      });
    }
  });
}

/** A sidecar that ends with the test. */
async function open(context: TestContext, ...how: Parameters<typeof sidecarWorld>): Promise<SidecarWorld> {
  const world = await sidecarWorld(...how);
  context.after(() => world.end());
  return world;
}

test('from Envoy the token is taken off', async (context) => {
  const world = await open(context, 'envoy', [], { operations });
  const { headers } = await world.ask();
  assert.equal(headers['x-envoy-auth-headers-to-remove'], 'authorization,dpop');
});

test('nobody but the proxy is answered, whatever they bring', async (context) => {
  const world = await open(context, 'nginx', ['--trusted-proxy', '10.0.0.7'], { operations });
  const reply = await world.ask();
  assert.deepEqual([reply.status, heard('nginx', reply).problem.status], [403, 403]);
  assert.match(JSON.stringify(world.lines), /127\.0\.0\.1 asked, which is no trusted proxy/);
});

test('further proxies: the address is that of the first one that nobody vouches for', async (context) => {
  const world = await open(context, 'traefik', ['--trusted-proxy', '127.0.0.1', '--trusted-proxy', '10.0.0.0/8'], {
    operations,
  });
  const from = async (forwarded: string) => {
    const reply = await world.ask('GET', '/v1/tickets', {
      claims: { ctx: { ip: ['192.0.2.0/24'] } },
      proxy: { 'x-forwarded-for': forwarded },
    });
    return reply.status;
  };
  assert.deepEqual(
    await Promise.all(['192.0.2.7, 10.0.0.1', '192.0.2.7, 198.51.100.1, 10.0.0.1', '192.0.2.7, unknown'].map(from)),
    [200, 401, 401],
  );
});

for (const dialect of ['nginx', 'caddy'] as const) {
  test(`${dialect} says which certificate it saw, where it is told to`, async (context) => {
    const [own, another] = [testCertificate('agent'), testCertificate('agent')];
    const world = await open(context, dialect, ['--client-certificates'], { operations });
    const thumbprint = createHash('sha256').update(own.der).digest('base64url');
    const authorization = `Bearer ${await world.agent.token({ cnf: { 'x5t#S256': thumbprint } })}`;
    const presenting = async (...values: string[]) => {
      const proxy = { 'client-cert': values };
      return heardStatus(
        dialect,
        await world.ask('GET', '/v1/tickets', { client: ['authorization', authorization], proxy }),
      );
    };
    const headerOf = ({ der }: { der: Buffer }) => `:${der.toString('base64')}:`;
    assert.equal(await presenting(headerOf(own)), 200);
    assert.equal(await presenting(headerOf(another)), 401);
    assert.equal(await presenting(headerOf(own), headerOf(own)), 401, 'twice');
    assert.equal(await presenting(), 401);
    assert.equal(await presenting('::'), 401);
    assert.equal(await presenting(''), 401);
    const metadata = JSON.parse((await world.raw('/.well-known/oauth-protected-resource/v1')).body);
    assert.equal(metadata.tls_client_certificate_bound_access_tokens, true);
  });
}

test('a nonce of our own is asked for and accepted', async (context) => {
  const world = await open(context, 'nginx', ['--dpop-nonce', 'required'], { operations });
  const first = await world.ask();
  assert.equal(first.status, 401);
  const nonce = String(first.headers['dpop-nonce']);
  const second = await world.ask('GET', '/v1/tickets', { proof: { nonce } });
  assert.deepEqual([second.status, second.headers['dpop-nonce']], [200, nonce]);
});

test('a problem that is too long for a header loses its details, and stays ASCII', async (context) => {
  const one = { method: 'GET', scope: ['tickets:read'], sensitivity: 'low' as const };
  const needing = (name: string, path: string, note: string) => ({
    ...one,
    name,
    path,
    details: { type: 'transfer', note },
  });
  const operations = [needing('ü', '/tickets/{id}', '{id}'), needing('long', '/long', 'ü'.repeat(1500))];
  const world = await open(context, 'nginx', [], { operations, detailsTypes: [{ type: 'transfer', compare: {} }] });
  const short = heard('nginx', await world.ask('GET', '/v1/tickets/%C3%BC'));
  assert.deepEqual(short.problem.authorization_details, [{ type: 'transfer', note: 'ü' }]);
  assert.match(
    String(short.problem.detail),
    /^The operation "ü" needs the scope: tickets:read, and authorization_details/,
  );
  const long = heard('nginx', await world.ask('GET', '/v1/long'));
  assert.equal(long.problem.authorization_details, undefined);
  assert.match(String(long.problem.detail), /^The operation "long" needs the scope: tickets:read.{100,}…$/);
});

test('decisions are told as lines, without a secret', async (context) => {
  const world = await open(context, 'nginx', [], { operations });
  const { headers } = await world.agent.request('GET', '/tickets');
  const client = ['authorization', headers.authorization![0]!, 'dpop', headers.dpop![0]!, 'cookie', 'session=secret'];
  await world.ask('GET', '/v1/tickets?q=private', { client });
  await world.ask('GET', '/v1/tickets', { client: [] });
  const [allowed, refused] = world.lines;
  assert.deepEqual(
    [allowed?.event, allowed?.outcome, allowed?.operation, allowed?.path, allowed?.address, allowed?.agent],
    ['decision', 'allowed', 'list tickets', '/v1/tickets', '192.0.2.7', 'agt_reader'],
  );
  assert.equal(allowed?.time, new Date(world.fake.clock.now()).toISOString());
  assert.deepEqual([refused?.outcome, refused?.code], ['refused', 'no_credentials']);
  const all = JSON.stringify(world.lines) + world.said();
  for (const secret of [
    client[1]!.split('.')[2]!,
    client[3]!.split('.')[2]!,
    'private',
    'session',
    String(world.fake.guard.jwk.d),
  ]) {
    assert.ok(!all.includes(secret));
  }
});

for (const [log, expected] of [
  ['refused', ['refused']],
  ['none', []],
] as const) {
  test(`--log ${log}`, async (context) => {
    const world = await open(context, 'nginx', ['--log', log], { operations });
    await world.ask();
    await world.ask('GET', '/v1/tickets', { client: [] });
    assert.deepEqual(
      world.lines.map(({ outcome }) => outcome),
      expected,
    );
  });
}

test('on whose authority callers may come is said by flags', async (context) => {
  const flags = ['--demand-person', '--max-depth', '1', '--without', 'agt_lead', '--without', 'agt_boss'];
  const world = await open(context, 'nginx', flags, { operations });
  const act = { sub: 'spiffe://id.example/default/reader' };
  const person = { sub: 'per_1', sub_profile: 'user', act };
  const asked = async (claims: object) =>
    heardStatus('nginx', await world.ask('GET', '/v1/tickets', { claims: { ...claims } }));
  assert.equal(await asked(person), 200);
  assert.equal(await asked({}), 403);
  assert.equal(await asked({ ...person, act: { ...act, act } }), 403);
  assert.equal(await asked({ ...person, client_id: 'agt_boss' }), 403);
  assert.deepEqual(
    world.lines.map(({ code }) => code),
    [undefined, ...Array(3).fill('wrong_authority')],
  );
});

test('asked to end: what is under way is finished, then it ends with 0', async (context) => {
  const world = await open(context, 'nginx', ['--introspection-cache', '0'], { operations });
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const asked = new Promise<void>((resolve) => {
    world.fake.beforeAnswer = () => {
      resolve();
      return gate;
    };
  });
  const underWay = world.ask();
  await asked;
  const ending = world.end();
  await assert.rejects(world.raw('/healthz'), { code: 'ECONNREFUSED' });
  go();
  const reply = await underWay;
  assert.deepEqual([reply.status, reply.headers.connection], [200, 'close']);
  assert.equal(await ending, 0);
  assert.match(world.said(), /^Bailiwick guards https:\/\/api\.example\/v1\n.*nginx/);
});

test('paths that are none of ours are told where to ask', async (context) => {
  const world = await open(context, 'nginx', [], { operations });
  for (const path of ['/', '/checks', '/check/', '/v1/tickets', '/metrics'])
    assert.equal((await world.raw(path)).status, 404, path);
  assert.equal((await world.raw('/readyz')).status, 200);
  const head = await world.raw('/healthz', [], 'HEAD');
  assert.deepEqual([head.status, head.body], [200, '']);
});

for (const [from, flags, asked] of [
  ['nothing is said', [], ['purge']],
  ['high', ['--ask-from', 'high'], ['purge']],
  ['medium', ['--ask-from', 'medium'], ['close ticket', 'purge']],
  ['low', ['--ask-from', 'low'], ['list tickets', 'close ticket', 'purge']],
  ['never', ['--ask-from', 'never'], []],
] as const) {
  test(`policy is asked each time, from: ${from}`, async (context) => {
    const world = await open(context, 'nginx', flags);
    const token = await world.agent.token({ scope: 'tickets:read tickets:write tickets:purge' });
    const statuses = async () => [
      (await world.ask('GET', '/v1/tickets', { token })).status,
      (await world.ask('POST', '/v1/tickets/7/close', { token })).status,
      (await world.ask('DELETE', '/v1/tickets/purge', { token })).status,
    ];
    assert.deepEqual(await statuses(), [200, 200, 200]);
    const about = world.fake.evaluated.flat().map(({ resource: { id } }) => id.split('#')[1]);
    assert.deepEqual(about, asked);
    world.fake.evaluate = () => ({ decision: false });
    assert.deepEqual((await statuses()).filter((status) => status === 403).length, asked.length);
  });
}
