/** Everything that can be revoked: before it a token lives, after it it is dead, and whether there will be another is as was asked for. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseCompact } from '@bailiwick/protocol';
import { revocableKinds } from '../revocations/subjects.ts';
import { type AdminClient, adminClient, administrator, populate } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient } from '../testing/instance-client.ts';
import { orchestratorClient } from '../testing/orchestrator.ts';
import { tokenClient } from '../testing/token-client.ts';

type Things = Awaited<ReturnType<typeof populate>> & { token: string; jti: string };
type Row = [
  what: string,
  body: (t: Things) => Record<string, unknown>,
  then: { kind: string; effect: string; renewal: 'given' | 'refused'; event: string },
];

const rows: Row[] = [
  [
    'a token, by its jti',
    (t) => ({ kind: 'token', subject: t.jti }),
    { kind: 'token', effect: 'end', renewal: 'given', event: 'token.revoked' },
  ],
  [
    'a token, by itself',
    (t) => ({ token: t.token }),
    { kind: 'token', effect: 'end', renewal: 'given', event: 'token.revoked' },
  ],
  [
    'an agent, by its id',
    (t) => ({ subject: t.agent.id }),
    { kind: 'agent', effect: 'suspend', renewal: 'refused', event: 'agent.suspended' },
  ],
  [
    'an agent, by its name',
    () => ({ kind: 'agent', subject: 'desk' }),
    { kind: 'agent', effect: 'suspend', renewal: 'refused', event: 'agent.suspended' },
  ],
  [
    'an agent, for good',
    (t) => ({ subject: t.agent.id, effect: 'end' }),
    { kind: 'agent', effect: 'end', renewal: 'refused', event: 'agent.retired' },
  ],
  [
    'the tokens of an agent',
    (t) => ({ subject: t.agent.id, effect: 'tokens' }),
    { kind: 'agent', effect: 'tokens', renewal: 'given', event: 'token.revoked' },
  ],
  [
    'a credential',
    (t) => ({ subject: t.credential.id }),
    { kind: 'credential', effect: 'end', renewal: 'refused', event: 'credential.ended' },
  ],
  [
    'the tokens of a credential',
    (t) => ({ subject: t.credential.id, effect: 'tokens' }),
    { kind: 'credential', effect: 'tokens', renewal: 'given', event: 'token.revoked' },
  ],
  [
    'a role',
    (t) => ({ subject: t.role.id }),
    { kind: 'role', effect: 'tokens', renewal: 'given', event: 'token.revoked' },
  ],
  [
    'a role, for good',
    () => ({ kind: 'role', subject: 'reader', effect: 'end' }),
    { kind: 'role', effect: 'end', renewal: 'refused', event: 'role.retired' },
  ],
  [
    'the grant of a role, by names',
    () => ({ kind: 'role_grant', subject: 'desk+reader' }),
    { kind: 'role_grant', effect: 'end', renewal: 'refused', event: 'role.withdrawn' },
  ],
  [
    'the tokens of a grant',
    (t) => ({ kind: 'role_grant', subject: `${t.agent.id}+${t.role.id}`, effect: 'tokens' }),
    { kind: 'role_grant', effect: 'tokens', renewal: 'given', event: 'token.revoked' },
  ],
  [
    'a resource, by its identifier',
    (t) => ({ kind: 'resource', subject: t.resource.identifier }),
    { kind: 'resource', effect: 'tokens', renewal: 'given', event: 'token.revoked' },
  ],
  [
    'a resource, for good',
    () => ({ kind: 'resource', subject: 'Tickets', effect: 'end' }),
    { kind: 'resource', effect: 'end', renewal: 'refused', event: 'resource.retired' },
  ],
  [
    'a person and their agents',
    (t) => ({ subject: t.person.id, agents: true }),
    { kind: 'person', effect: 'suspend', renewal: 'refused', event: 'agent.suspended' },
  ],
  [
    'a person and their agents’ tokens, by address',
    (t) => ({ kind: 'person', subject: t.person.email, agents: true, effect: 'tokens' }),
    { kind: 'person', effect: 'tokens', renewal: 'given', event: 'token.revoked' },
  ],
  [
    'an organization',
    (t) => ({ subject: t.agent.organization }),
    { kind: 'organization', effect: 'suspend', renewal: 'refused', event: 'organization.suspended' },
  ],
  [
    'the tokens of an organization',
    (t) => ({ kind: 'organization', subject: t.organization, effect: 'tokens' }),
    { kind: 'organization', effect: 'tokens', renewal: 'given', event: 'token.revoked' },
  ],
  [
    'a signing key',
    (t) => ({ kind: 'key', subject: parseCompact(t.token).header.kid }),
    { kind: 'key', effect: 'end', renewal: 'given', event: 'key.revoked' },
  ],
];

for (const database of databases) {
  describe(`revocations (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    let count = 0;

    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    async function fresh(): Promise<Things & { guardClient: AdminClient; renewal(): Promise<'given' | 'refused'> }> {
      const name = `rev${count++}`;
      await operator.ok('POST', '/organizations', { name });
      const things = await populate(operator, name);
      const client = adminClient(server, { client_id: things.agent.id, jwk: things.jwk });
      const guardClient = adminClient(server, { client_id: things.guard.agent, jwk: things.guardKey });
      const token = await client.token(things.resource.identifier);
      assert.equal((await guardClient.introspect(token)).active, true);
      const { jti } = parseCompact(token).payload as { jti: string };
      const renewal = () =>
        client.tokenWith({ resource: things.resource.identifier }).then(
          () => 'given' as const,
          () => 'refused' as const,
        );
      return { ...things, token, jti, guardClient, renewal };
    }
    const at = (t: Things) => `?organization=${t.organization}`;
    const revoke = (t: Things, body: Record<string, unknown>, by = operator) =>
      by.call('POST', `/revocations${at(t)}`, { reason: 'a test', wait_seconds: 0, ...body });

    for (const [what, body, then] of rows) {
      test(`${what}: what rests on it dies, and another token is ${then.renewal}`, async () => {
        const things = await fresh();
        const asked = body(things);
        const reach = await operator.ok('GET', reachPath(things, asked));
        assert.deepEqual([reach.kind, reach.effect, reach.over], [then.kind, then.effect, false]);
        if (then.kind !== 'key') {
          assert.equal(reach.tokens.count, 1, 'the log knows the token');
          assert.deepEqual(
            reach.resources.map(({ id }: { id: string }) => id),
            [things.resource.id],
          );
          assert.deepEqual(reach.resources[0].guards, [{ id: things.guard.id, name: 'tickets-guard' }]);
        }
        const reply = await revoke(things, asked);
        assert.equal(reply.status, 201, reply.text);
        const { rev, kind, effect, already } = reply.body;
        // the operator's own token was signed by it, too
        if (then.kind === 'key') operator = adminClient(server, server.operator);
        assert.deepEqual([kind, effect, already], [then.kind, then.effect, undefined]);
        assert.equal(things.token.includes(reply.text), false);
        // a stopped agent or organization has no guard that could ask: the server itself is asked in the next test
        if (then.kind !== 'organization')
          assert.equal((await things.guardClient.introspect(things.token)).active, false);
        assert.equal(await things.renewal(), then.renewal);
        const { items } = await operator.ok(
          'GET',
          `/events${then.kind === 'key' ? '?' : `${at(things)}&`}type=${then.event}&limit=5`,
        );
        const event = items.find(
          (one: { decided_on?: { changed?: { rev?: number } } }) => one.decided_on?.changed?.rev === rev,
        );
        assert.ok(event, 'the log tells it, with its number');
        assert.equal(JSON.stringify(items).includes(things.token), false, 'and never the token itself');
        const shown = await operator.ok('GET', `/revocations/${rev}`);
        assert.deepEqual([shown.kind, shown.reason, shown.by], [then.kind, 'a test', server.operator.client_id]);
      });
    }

    test('there is a row for every kind', () => {
      const elsewhere = ['instance', 'task', 'team', 'mandate', 'trusted_issuer']; // `mandates.test.ts`, `revoked-issuers.test.ts`
      assert.deepEqual(
        [...new Set(rows.map(([, , { kind }]) => kind)), ...elsewhere].sort(),
        [...revocableKinds].sort(),
      );
    });

    test('an instance, a task, the agents of a team: each with what hangs on it', async () => {
      const client = await tokenClient(server);
      const instances = instanceClient(server, client);
      const orchestrator = await orchestratorClient(server);
      const instance = await instances.instance();
      const given = (reply: { status: number; body: unknown }) => (reply.body as { access_token: string }).access_token;
      const token = given(await instances.tokenOf(instance));
      const task = await orchestrator.open(client.clientId);
      const ofTask = given(await client.send({ task: task.id }));
      const post = (body: object) =>
        operator.ok('POST', '/revocations', { reason: 'a test', wait_seconds: 0, with_reach: true, ...body });

      await post({ subject: instance.id, effect: 'tokens' });
      assert.equal((await instances.introspect(token)).active, false);
      const next = given(await instances.tokenOf(instance));
      const ended = await post({ subject: instance.id });
      assert.deepEqual([ended.effect, ended.reach.instances], ['end', 1]);
      assert.match(ended.reach.gaps[0].what, /X\.509-SVID/);
      assert.equal((await instances.introspect(next)).active, false);
      assert.equal((await instances.tokenOf(instance)).status, 401);

      await post({ subject: task.id, effect: 'tokens' });
      assert.equal((await instances.introspect(ofTask)).active, false);
      const again = given(await client.send({ task: task.id }));
      await post({ subject: task.id });
      assert.equal((await instances.introspect(again)).active, false);
      assert.equal((await client.send({ task: task.id })).status, 400);

      const team = await operator.ok('POST', '/teams', { name: 'owners' });
      await operator.ok('PATCH', `/agents/${client.clientId}`, { owner: team.id });
      const last = given(await client.send());
      const stopped = await post({ kind: 'team', subject: 'owners' });
      assert.deepEqual([stopped.reach.agents.count, stopped.effect], [1, 'suspend']);
      await operator.ok('POST', `/agents/${client.clientId}/resume`);
      assert.equal((await instances.introspect(last)).active, false);
    });

    test('again is no error, and shows the number that it had', async () => {
      const things = await fresh();
      const first = (await revoke(things, { subject: things.agent.id })).body;
      const second = await revoke(things, { subject: things.agent.id });
      assert.deepEqual([second.status, second.body.already, second.body.rev], [201, true, first.rev]);
      const good = (await revoke(things, { subject: things.agent.id, effect: 'end' })).body;
      assert.ok(good.rev > first.rev && good.last_rev > good.rev, 'its credential and grant ended with it');
      const shown = await operator.ok('GET', `/revocations/${good.rev}`);
      assert.deepEqual(shown.came_with_it.map(({ kind }: { kind: string }) => kind).sort(), [
        'credential',
        'role_grant',
      ]);
      assert.equal((await revoke(things, { subject: things.agent.id, effect: 'end' })).body.already, true);
      const { items } = await operator.ok('GET', `/revocations${at(things)}`);
      assert.deepEqual(
        items.map(({ rev }: { rev: number }) => rev),
        [good.rev, first.rev],
        'one line for each order',
      );
      assert.deepEqual(
        items.map(({ with_more }: { with_more?: true }) => with_more),
        [true, undefined],
        'which says whether more came with it',
      );
    });

    test('the same request again, by its key, gets the same answer and revokes nothing twice', async () => {
      const things = await fresh();
      const headers = { 'idempotency-key': `k${count}` };
      const body = { subject: things.agent.id, effect: 'tokens', reason: 'a test' };
      const [first, second] = [
        await operator.call('POST', '/revocations', body, headers),
        await operator.call('POST', '/revocations', body, headers),
      ];
      assert.equal(first.body.rev, second.body.rev);
      assert.deepEqual(first.body.acknowledgement, second.body.acknowledgement);
    });

    test('twice at once is revoked once', async () => {
      const things = await fresh();
      const replies = await Promise.all(Array.from({ length: 8 }, () => revoke(things, { subject: things.agent.id })));
      assert.deepEqual(new Set(replies.map(({ status }) => status)), new Set([201]));
      assert.equal(new Set(replies.map(({ body }) => body.rev)).size, 1);
      assert.equal(replies.filter(({ body }) => body.already === undefined).length, 1);
    });

    test('against requests for tokens at the same moment: what was answered before is dead, and nothing is alive after', async () => {
      const client = await tokenClient(server, { agent: { limits: { tokens_per_minute: 100_000 } } });
      const tokens: string[] = [];
      const requests = Array.from({ length: 20 }, async () => {
        const { status, body } = await client.send();
        if (status === 200) tokens.push(String(body.access_token));
      });
      const order = operator.call('POST', '/revocations', { subject: client.clientId, reason: 'a test' });
      await Promise.all([...requests, order]);
      assert.notEqual((await client.send()).status, 200);
      await operator.ok('POST', `/agents/${client.clientId}/resume`);
      const { introspect } = instanceClient(server, client);
      for (const token of tokens) assert.equal((await introspect(token)).active, false);
      assert.equal((await client.send()).status, 200);
    });

    test('against being resumed at the same moment: what was issued before is dead whatever comes first', async () => {
      const things = await fresh();
      await Promise.all([
        revoke(things, { subject: things.agent.id }),
        operator.call('POST', `/agents/${things.agent.id}/resume`),
        revoke(things, { subject: things.agent.id, effect: 'tokens' }),
      ]);
      assert.equal((await things.guardClient.introspect(things.token)).active, false);
    });

    const refusals: [what: string, body: (t: Things) => object, status: number, detail: RegExp][] = [
      ['no reason', (t) => ({ subject: t.agent.id, reason: undefined }), 400, /reason is required/],
      ['nothing named', () => ({}), 400, /subject is required/],
      ['subject and token', (t) => ({ subject: t.jti, kind: 'token', token: t.token }), 400, /subject/],
      ['a name without a kind', () => ({ subject: 'desk' }), 400, /kind is required/],
      ['an id of another kind', (t) => ({ subject: t.agent.id, kind: 'role' }), 400, /kind must be agent/],
      ['what is no token', () => ({ token: 'x.y.z' }), 400, /token must be/],
      ['a token of another kind', (t) => ({ token: t.token, kind: 'agent' }), 400, /kind must be token/],
      ['a kind that nobody knows', () => ({ subject: 'x', kind: 'mandates' }), 400, /kind must be one of/],
      [
        'an effect that its kind does not have',
        (t) => ({ subject: t.role.id, effect: 'suspend' }),
        422,
        /of a role must be one of/,
      ],
      ['agents of an agent', (t) => ({ subject: t.agent.id, agents: true }), 422, /agents goes with/],
      [
        'a person suspended, without their agents',
        (t) => ({ subject: t.person.id, effect: 'suspend' }),
        409,
        /agents: true/,
      ],
      ['nobody', () => ({ kind: 'agent', subject: 'nobody' }), 404, /no agent "nobody" here/],
      ['a jti of nothing', () => ({ kind: 'token', subject: '01jd7x0000000000000000000a' }), 404, /no token/],
      [
        'a role that is not held',
        (t) => ({ kind: 'role_grant', subject: `${t.guard.agent}+reader` }),
        404,
        /no role_grant/,
      ],
      ['a built-in role', () => ({ kind: 'role', subject: 'operator', effect: 'tokens' }), 409, /built in/],
      ['a wait without end', (t) => ({ subject: t.agent.id, wait_seconds: 61 }), 400, /wait_seconds/],
    ];
    for (const [what, body, status, detail] of refusals) {
      test(`refused: ${what}`, async () => {
        const things = await fresh();
        const reply = await revoke(things, body(things) as Record<string, unknown>);
        assert.equal(reply.status, status, reply.text);
        assert.match(reply.body.detail, detail);
        assert.equal((await things.guardClient.introspect(things.token)).active, true, 'and nothing was revoked');
      });
    }

    test('what is built in is left alone, and so is the last operator', async () => {
      const { items } = await operator.ok('GET', '/roles?name=operator');
      for (const body of [{ subject: items[0].id }, { subject: items[0].id, effect: 'end' }]) {
        assert.equal((await operator.call('POST', '/revocations', { reason: 'x', ...body })).status, 409);
      }
      const own = await operator.call('POST', '/revocations', {
        kind: 'organization',
        subject: 'default',
        reason: 'x',
      });
      assert.equal(own.status, 409);
      assert.match(own.body.detail, /server itself lives in/);
      for (const effect of ['suspend', 'end']) {
        const reply = await operator.call('POST', '/revocations', {
          subject: server.operator.client_id,
          effect,
          reason: 'x',
        });
        assert.equal(reply.status, 409);
        assert.match(reply.body.detail, /last identity with the role operator/);
      }
      const agent = await operator.ok('GET', `/agents/${server.operator.client_id}`);
      const team = await operator.call('POST', '/revocations', { subject: agent.owner, reason: 'x' });
      assert.equal(team.status, 409, 'not by its owner either');
    });

    test('an administrator of another organization finds nothing, by any name or number', async () => {
      const [mine, theirs] = [await fresh(), await fresh()];
      const scopes = ['revocations:read', 'revocations:write'];
      const stranger = await administrator(server, operator, { scopes, organization: mine.organization });
      const never = '01jd7x0000000000000000000a';
      for (const [what, here, nowhere] of [
        ['agent', theirs.agent.id, `agt_${never}`],
        ['credential', theirs.credential.id, `crd_${never}`],
        ['instance', theirs.instance, `ins_${never}`],
        ['role', theirs.role.id, `rol_${never}`],
        ['resource', theirs.resource.id, `res_${never}`],
        ['person', theirs.person.id, `per_${never}`],
        ['token', theirs.jti, never],
      ] as const) {
        const both = await Promise.all(
          [here, nowhere].map((subject) => stranger.call('POST', '/revocations', { kind: what, subject, reason: 'x' })),
        );
        assert.deepEqual(
          both.map(({ status }) => status),
          [404, 404],
          what,
        );
        const [one, other] = both.map(({ text }, i) => text.replace(String(i === 0 ? here : nowhere), ''));
        assert.equal(one, other, 'the answer is the same as for what never was');
        assert.equal((await stranger.call('GET', `/revocations/reach?kind=${what}&subject=${here}`)).status, 404, what);
      }
      for (const [kind, subject] of [
        ['organization', theirs.organization],
        ['key', 'any'],
      ] as const) {
        assert.equal((await stranger.call('POST', '/revocations', { kind, subject, reason: 'x' })).status, 403, kind);
      }
      assert.equal((await theirs.guardClient.introspect(theirs.token)).active, true);
      const { rev } = (await revoke(theirs, { subject: theirs.agent.id })).body;
      assert.equal((await stranger.call('GET', `/revocations/${rev}`)).status, 404);
      assert.deepEqual((await stranger.ok('GET', '/revocations')).items, []);
      assert.deepEqual((await stranger.ok('GET', `/revocations?subject=${theirs.agent.id}`)).items, []);
    });

    test('an owner stops their own agents, and sees no others', async () => {
      const things = await fresh();
      const owner = await administrator(server, operator, {
        scopes: ['revocations:own'],
        organization: things.organization,
      });
      const { owner: team } = await operator.ok('GET', `/agents/${owner.agent}`);
      const other = await operator.ok('GET', `/agents/${things.guard.agent}`);
      for (const body of [
        { subject: other.id },
        { subject: things.agent.id },
        { kind: 'token', subject: things.jti },
        { subject: things.credential.id },
        { subject: things.instance },
      ]) {
        assert.equal(
          (await owner.call('POST', '/revocations', { reason: 'x', ...body })).status,
          404,
          JSON.stringify(body),
        );
      }
      for (const body of [
        { subject: things.role.id },
        { subject: things.resource.id },
        { subject: things.person.id },
        { subject: team },
      ]) {
        assert.equal(
          (await owner.call('POST', '/revocations', { reason: 'x', ...body })).status,
          403,
          JSON.stringify(body),
        );
      }
      await operator.ok('PATCH', `/agents/${things.agent.id}`, { owner: team });
      assert.equal((await owner.call('GET', `/revocations/reach?subject=${things.agent.id}`)).status, 200);
      const reply = await owner.call('POST', '/revocations', { kind: 'token', subject: things.jti, reason: 'mine' });
      assert.equal(reply.status, 201, reply.text);
      assert.equal(
        (await owner.call('POST', '/revocations', { subject: things.agent.id, reason: 'mine' })).status,
        201,
      );
      assert.equal(await things.renewal(), 'refused');
      const shown = await owner.ok('GET', '/revocations');
      assert.deepEqual(
        shown.items.map(({ kind }: { kind: string }) => kind),
        ['agent', 'token'],
      );
      await operator.ok('PATCH', `/agents/${things.agent.id}`, { owner: things.team.id });
      assert.deepEqual((await owner.ok('GET', '/revocations')).items, [], 'nor what was theirs');
    });

    test('lists go on page by page, and take no cursor of others', async () => {
      const things = await fresh();
      for (let n = 0; n < 3; n++) await revoke(things, { subject: things.agent.id, effect: 'tokens' });
      const first = await operator.ok('GET', `/revocations${at(things)}&limit=2`);
      const second = await operator.ok('GET', `/revocations${at(things)}&limit=2&cursor=${first.next_cursor}`);
      assert.deepEqual([first.items.length, second.items.length, second.next_cursor], [2, 1, undefined]);
      for (const cursor of ['x', 'MS4x', Buffer.from('r.x').toString('base64url')]) {
        assert.equal((await operator.call('GET', `/revocations?cursor=${cursor}`)).status, 400);
      }
    });
  });
}

function reachPath(things: Things, asked: Record<string, unknown>): string {
  const { token, subject, kind, effect, agents } = asked;
  const named = token === undefined ? { subject, kind } : { kind: 'token', subject: things.jti };
  const said = { ...named, effect, agents, organization: things.organization };
  const entries = Object.entries(said).filter(([, value]) => value !== undefined);
  return `/revocations/reach?${new URLSearchParams(entries.map(([name, value]) => [name, String(value)]))}`;
}
