/** Trusted issuers as administrators say and see them. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { type ForeignIssuer, foreignIssuer } from '../testing/foreign-issuer.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { testWeb } from '../testing/signal-receiver.ts';

const never = (prefix: string) => `${prefix}_01hzzzzzzzzzzzzzzzzzzzzzzz`;

for (const database of databases) {
  describe(`trusted issuers, on ${database}`, () => {
    let web: Awaited<ReturnType<typeof testWeb>>;
    let server: TestServer;
    let operator: AdminClient;
    let things: Awaited<ReturnType<typeof populate>>;
    let elsewhere: Awaited<ReturnType<typeof populate>>;
    const open: ForeignIssuer[] = [];

    const provider = async (path?: string) => {
      const made = await foreignIssuer(web, server.clock, path);
      open.push(made);
      return made;
    };
    const rule = (more: object = {}) => ({
      name: 'staff',
      agents: [things.agent.id],
      resources: [{ resource: things.resource.identifier, scope: 'tickets:read' }],
      ...more,
    });
    const wanted = (more: object = {}) => ({
      issuer: `https://${randomUUID()}.example`,
      jwks_uri: 'https://localhost:1/jwks',
      rules: [rule()],
      ...more,
    });
    const trust = (more?: object) => operator.ok('POST', '/trusted-issuers', wanted(more));
    const eventsOf = async (target: string) => (await operator.ok('GET', `/events?target=${target}`)).items;

    before(async () => {
      web = await testWeb();
      server = await startServer({ database, config: { outbound: { ca_file: web.caFile } } });
      operator = adminClient(server, server.operator);
      things = await populate(operator, 'default');
      await operator.ok('POST', '/organizations', { name: 'elsewhere' });
      elsewhere = await populate(operator, 'elsewhere');
    });
    after(async () => {
      await server.close();
      for (const each of open) each.close();
      web.remove();
    });

    test('trusted, shown as it was said, and on record', async () => {
      const idp = await provider('/tenant');
      const said = {
        algorithms: ['ES256'],
        accepts: ['id_token', 'access_token'],
        audiences: ['assistant-app'],
        max_age_seconds: 900,
        rules: [
          {
            name: 'staff',
            claims: { hd: { exact: 'example.com' }, sub: { prefix: 'emp-' }, groups: { glob: 'org/*' } },
            person: 'verified_email',
            agents: [things.agent.id],
            resources: [{ resource: things.resource.identifier, scope: 'tickets:read' }],
            context: { ip: ['10.0.0.0/8'] },
            task: { workflow: 'travel' },
            passing: { depth: 1, to: [things.agent.id] },
            max_lifetime_seconds: 120,
            within_scope: true,
          },
        ],
      };
      const reply = await operator.call('POST', '/trusted-issuers', { issuer: idp.issuer, ...said });
      assert.equal(reply.status, 201, reply.text);
      const at = new Date(server.clock.now()).toISOString();
      const expected = {
        id: reply.body.id,
        organization: things.person.organization,
        created_at: at,
        issuer: idp.issuer,
        status: 'active',
        jwks_uri: `${idp.issuer}/jwks`,
        ...said,
        keys_at: at,
        updated_at: at,
      };
      assert.deepEqual(reply.body, expected);
      assert.deepEqual(await operator.ok('GET', `/trusted-issuers/${expected.id}`), expected);
      const listed = await operator.ok('GET', `/trusted-issuers?issuer=${encodeURIComponent(idp.issuer)}`);
      assert.deepEqual(listed.items, [expected]);
      const [{ personal, ...event }] = await eventsOf(expected.id);
      assert.equal(event.type, 'trusted_issuer.created');
      assert.deepEqual(personal.details.rules, said.rules);
      assert.ok(!JSON.stringify(event).includes('emp-'), 'claims may name people');
    });

    test('what isn’t said is strict', async () => {
      const { algorithms, accepts, audiences, max_age_seconds, rules } = await trust();
      assert.deepEqual(
        { algorithms, accepts, audiences, max_age_seconds },
        {
          algorithms: ['ES256', 'EdDSA', 'PS256', 'RS256'],
          accepts: ['id_token'],
          audiences: [server.issuer],
          max_age_seconds: 3600,
        },
      );
      assert.deepEqual(rules, [rule({ claims: {}, person: 'identity', passing: { depth: 0 }, within_scope: false })]);
    });

    test('keys that can’t be fetched yet are a fault, and no error', async () => {
      const idp = await provider();
      idp.keysWanted = (response) => response.writeHead(500).end();
      const made = await trust({ issuer: idp.issuer, jwks_uri: undefined });
      assert.match(made.fault, /answered with 500/);
      assert.equal(made.keys_at, undefined);
      const again = await provider();
      idp.keysWanted = again.keysWanted;
      const after = await operator.ok('POST', `/trusted-issuers/${made.id}/refresh`);
      assert.deepEqual([after.fault, after.keys_at === undefined], [undefined, false]);
      idp.keysWanted = (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('[]');
      const kept = await operator.ok('POST', `/trusted-issuers/${made.id}/refresh`);
      assert.match(kept.fault, /did not send a key set/);
      assert.equal(kept.keys_at, after.keys_at, 'the last good ones are kept');
    });

    test('what can’t be trusted is refused with the field', async () => {
      const idp = await provider();
      const [slash, keyless, html] = [await provider(), await provider(), await provider()];
      slash.metadata.issuer = `${slash.issuer}/`;
      delete keyless.metadata.jwks_uri;
      html.metadataWanted = (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>');
      const own = { jwks_uri: undefined };
      const rows: [what: string, body: object, status: number, field: string][] = [
        ['no issuer', { issuer: undefined }, 400, 'issuer'],
        ['an issuer without TLS', { issuer: 'http://login.example.com' }, 400, 'issuer'],
        ['an issuer with a query', { issuer: 'https://login.example.com?a=b' }, 400, 'issuer'],
        ['an issuer that calls itself otherwise', { issuer: slash.issuer, ...own }, 422, 'issuer'],
        ['one that names no keys', { issuer: keyless.issuer, ...own }, 422, 'issuer'],
        ['one that describes itself in HTML', { issuer: html.issuer, ...own }, 422, 'issuer'],
        ['one that isn’t there', { issuer: 'https://localhost:1', ...own }, 422, 'issuer'],
        ['keys at a private address', { jwks_uri: 'https://10.0.0.1/jwks' }, 422, 'jwks_uri'],
        ['keys without TLS', { jwks_uri: 'http://login.example.com/jwks' }, 422, 'jwks_uri'],
        ['an algorithm with a shared secret', { algorithms: ['HS256'] }, 400, 'algorithms[0]'],
        ['no algorithm', { algorithms: [] }, 400, 'algorithms'],
        ['a kind of token that nobody knows', { accepts: ['saml2'] }, 400, 'accepts[0]'],
        ['no audience', { audiences: [] }, 400, 'audiences'],
        ['an age without end', { max_age_seconds: 1e9 }, 400, 'max_age_seconds'],
        ['no rules', { rules: [] }, 400, 'rules'],
        ['two rules of one name', { rules: [rule(), rule()] }, 400, 'rules'],
        ['a rule for nobody', { rules: [rule({ agents: [] })] }, 400, 'rules[0].agents'],
        ['a rule with counters', { rules: [rule({ limits: { uses: 1 } })] }, 400, 'rules[0].limits'],
        [
          'a claim with a pattern of its own',
          { rules: [rule({ claims: { a: { regex: '.*' } } })] },
          400,
          'rules[0].claims.a',
        ],
        ['an agent that isn’t there', { rules: [rule({ agents: [never('agt')] })] }, 422, 'rules[0].agents[0]'],
        [
          'an agent of another organization',
          { rules: [rule(), rule({ name: 'other', agents: [elsewhere.agent.id] })] },
          422,
          'rules[1].agents[0]',
        ],
        [
          'a resource of another organization',
          { rules: [rule({ resources: [{ resource: elsewhere.resource.id, scope: 'tickets:read' }] })] },
          422,
          'rules[0].resources[0].resource',
        ],
        [
          'a scope that there isn’t',
          { rules: [rule({ resources: [{ resource: things.resource.id, scope: 'tickets:burn' }] })] },
          422,
          'rules[0].resources[0].scope',
        ],
      ];
      for (const [what, body, status, field] of rows) {
        const reply = await operator.call(
          'POST',
          '/trusted-issuers',
          wanted({ jwks_uri: `${idp.issuer}/jwks`, ...body }),
        );
        assert.equal(reply.status, status, `${what}: ${reply.text}`);
        if (field) assert.equal(reply.body.errors[0].field, field, what);
      }
      const { issuer } = await trust();
      assert.equal((await operator.call('POST', '/trusted-issuers', wanted({ issuer }))).status, 409);
      const there = wanted({
        issuer,
        rules: [
          {
            ...rule(),
            agents: [elsewhere.agent.id],
            resources: [{ resource: elsewhere.resource.id, scope: 'tickets:read' }],
          },
        ],
      });
      assert.equal((await operator.call('POST', '/trusted-issuers?organization=elsewhere', there)).status, 201);
    });

    test('changed, suspended, resumed and removed; sent again it is done once', async () => {
      const { id } = await trust();
      const path = `/trusted-issuers/${id}`;
      const key = { 'idempotency-key': randomUUID() };
      const change = { max_age_seconds: 60, rules: [rule({ name: 'other' })] };
      const first = await operator.call('PATCH', path, change, key);
      assert.equal(first.status, 200, first.text);
      assert.deepEqual([first.body.max_age_seconds, first.body.rules[0].name], [60, 'other']);
      assert.deepEqual((await operator.call('PATCH', path, change, key)).body, first.body);
      assert.deepEqual(await operator.ok('PATCH', path, {}), first.body);
      const stale = await operator.call('PATCH', path, { max_age_seconds: 61 }, { 'if-match': '"no"' });
      assert.equal(stale.status, 412);
      for (const status of ['suspended', 'suspended', 'active', 'active']) {
        const done = await operator.ok('POST', `${path}/${status === 'active' ? 'resume' : 'suspend'}`, {});
        assert.equal(done.status, status);
      }
      await operator.ok('POST', `${path}/remove`, { reason: 'over' });
      assert.equal((await operator.call('GET', path)).status, 404);
      const types = (await eventsOf(id)).map(({ type }: { type: string }) => type.split('.')[1]);
      assert.deepEqual(types.sort(), ['created', 'refused', 'removed', 'resumed', 'suspended', 'updated']);
    });

    test('an agent that has retired doesn’t stand in the way of other changes', async () => {
      const { id: agent } = await operator.ok('POST', '/agents', {
        name: `gone-${randomUUID().slice(0, 8)}`,
        kind: 'workload',
        owner: things.team.id,
        resources: [{ resource: things.resource.identifier, default: true, scope: [] }],
      });
      const { id } = await trust({ rules: [rule({ agents: [agent, things.agent.id] })] });
      await operator.ok('POST', `/agents/${agent}/retire`);
      const { rules } = await operator.ok('PATCH', `/trusted-issuers/${id}`, { max_age_seconds: 60 });
      assert.deepEqual(rules[0].agents, [agent, things.agent.id]);
    });

    test('whoever may not let agents act for people trusts nobody, and links nobody', async () => {
      const scopes = ['issuers:read', 'issuers:write', 'people:read', 'people:write'];
      const narrow = await administrator(server, operator, { scopes });
      const { id } = await trust();
      const { id: person } = await narrow.ok('POST', '/people', { name: 'Eve' });
      const identities = [{ issuer: 'https://login.example.com', subject: randomUUID() }];
      for (const [method, path, body] of [
        ['POST', '/trusted-issuers', wanted()],
        ['PATCH', `/trusted-issuers/${id}`, { max_age_seconds: 60 }],
        ['POST', `/trusted-issuers/${id}/resume`, undefined],
        ['POST', '/people', { name: 'Eve', identities }],
        ['PATCH', `/people/${person}`, { identities }],
      ] as const) {
        const { status, body: problem } = await narrow.call(method, path, body);
        assert.deepEqual([status, problem.type?.split(':').at(-1)], [403, 'insufficient-scope'], `${method} ${path}`);
      }
      await operator.ok('PATCH', `/people/${person}`, { identities });
      await narrow.ok('PATCH', `/people/${person}`, { identities: [] });
      await narrow.ok('POST', `/trusted-issuers/${id}/suspend`, {});
    });

    test('where an address is enough to be somebody, it is not for everybody to say', async () => {
      const { id: organization } = await operator.ok('POST', '/organizations', { name: 'by-address' });
      const there = await populate(operator, 'by-address');
      const at = `?organization=${organization}`;
      const narrow = await administrator(server, operator, {
        scopes: ['people:read', 'people:write'],
        organization: 'by-address',
      });
      const say = () => narrow.call('POST', '/people', { name: 'Eve', email: `${randomUUID()}@example.com` });
      assert.equal((await say()).status, 201);
      const rules = [
        {
          ...rule(),
          agents: [there.agent.id],
          person: 'verified_email',
          resources: [{ resource: there.resource.id, scope: 'tickets:read' }],
        },
      ];
      await operator.ok('POST', `/trusted-issuers${at}`, wanted({ rules }));
      assert.equal((await say()).status, 403);
      assert.equal((await narrow.call('PATCH', `/people/${there.person.id}`, { email: 'x@example.com' })).status, 403);
      await narrow.ok('PATCH', `/people/${there.person.id}`, { name: 'Eve' });
    });

    test('who somebody is elsewhere: shown, nobody else’s, and gone with them', async () => {
      const subject = `sub-${randomUUID()}`;
      const identities = [{ issuer: 'https://login.example.com', subject }];
      const ada = await operator.ok('POST', '/people', { name: 'Ada', identities });
      assert.deepEqual(ada.identities, identities);
      assert.deepEqual((await operator.ok('GET', `/people/${ada.id}`)).identities, identities);
      const { items } = await operator.ok('GET', '/people?limit=200');
      assert.deepEqual(items.find(({ id }: { id: string }) => id === ada.id).identities, identities);
      const other = await operator.call('POST', '/people', { name: 'Bob', identities });
      assert.deepEqual([other.status, other.body.errors[0].field], [409, 'identities']);
      const twice = await operator.call('POST', '/people', { name: 'Bob', identities: [...identities, ...identities] });
      assert.deepEqual([twice.status, twice.body.errors[0].field], [400, 'identities']);
      await operator.ok('POST', '/people?organization=elsewhere', { name: 'Ada', identities });

      const both = [...identities, { issuer: 'https://other.example.com', subject }];
      assert.deepEqual((await operator.ok('PATCH', `/people/${ada.id}`, { identities: both })).identities, both);
      assert.equal(JSON.stringify(await eventsOf(ada.id)).includes(subject), false);
      const stored = () =>
        server.deps.db.all<{ sealed: string }>('select * from person_identities where person = ?', [ada.id]);
      assert.equal((await stored()).length, 2);
      assert.equal(JSON.stringify(await stored()).includes(subject), false);
      await operator.ok('DELETE', `/people/${ada.id}`);
      assert.deepEqual(await stored(), []);
      assert.equal((await operator.call('POST', '/people', { name: 'Bob', identities })).status, 201);
    });
  });
}
