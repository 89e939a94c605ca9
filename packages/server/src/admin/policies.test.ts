import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { asOf } from '../liveness/liveness.ts';
import { loadPolicyEngine } from '../policy/engine.ts';
import { policySetOf } from '../policy/policies.ts';
import { starterPolicies } from '../policy/starter.ts';
import { type AdminClient, adminClient, administrator } from '../testing/admin-client.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';

const night = `@id("no-nights")
@reason("Nobody looks on at night.")
@public
forbid (principal, action, resource)
when { context.time.hour < 6 };
`;
const reason = 'a test';

for (const database of databases) {
  describe(`policies of an organization (${database})`, () => {
    let server: TestServer;
    let operator: AdminClient;
    before(async () => {
      server = await startServer({ database });
      operator = adminClient(server, server.operator);
    });
    after(() => server.close());

    let made = 0;
    /** A new organization: a query for its things. */
    const organization = async () => {
      made += 1;
      const name = `org-${made}`;
      const { id } = await operator.ok('POST', '/organizations', { name });
      return { id, name, at: `?organization=${name}` };
    };

    test('every organization begins with the starter set', async () => {
      const { at, id } = await organization();
      const { items } = await operator.ok('GET', `/policies${at}`);
      assert.deepEqual(
        items.map((one: Record<string, unknown>) => [one.name, one.mode, one.author, one.organization, one.revision]),
        [['starter', 'enforce', 'bailiwick', id, 1]],
      );
      assert.equal('text' in items[0], false);
      const shown = await operator.ok('GET', `/policies/${items[0].id}`);
      assert.equal(shown.text, starterPolicies[0]?.text);
      assert.equal((await operator.ok('GET', '/policies')).items[0].name, 'starter', 'the first organization, too');
    });

    test('a policy is written, changed, observed, rolled back and removed, and every version stays', async () => {
      const { at, id: org } = await organization();
      const created = await operator.call('POST', `/policies${at}`, { name: 'night', text: night, reason });
      assert.equal(created.status, 201, created.text);
      const { id } = created.body;
      assert.equal(created.headers.get('location'), `${server.issuer}/admin/v1/policies/${id}`);
      assert.deepEqual(
        [created.body.mode, created.body.revision, created.body.author],
        ['enforce', 2, server.operator.client_id],
      );

      const longer = night.replace('< 6', '< 7');
      const changed = await operator.ok('PATCH', `/policies/${id}`, { text: longer, reason: 'later' });
      assert.deepEqual([changed.revision, changed.text, changed.mode, changed.reason], [3, longer, 'enforce', 'later']);
      assert.notEqual(changed.text_hash, created.body.text_hash);
      const observed = await operator.ok('PATCH', `/policies/${id}`, { mode: 'observe', reason });
      assert.deepEqual([observed.revision, observed.text, observed.mode], [4, longer, 'observe']);
      const same = await operator.ok('PATCH', `/policies/${id}`, { mode: 'observe', reason: 'again' });
      assert.equal(same.revision, 4, 'what changes nothing is no version');
      const back = await operator.ok('POST', `/policies/${id}/rollback`, { revision: 2, reason: 'too long' });
      assert.deepEqual([back.revision, back.text, back.mode], [5, night, 'enforce']);
      const removed = await operator.ok('POST', `/policies/${id}/remove`, { reason: 'over' });
      assert.deepEqual([removed.revision, removed.mode, removed.text], [6, 'removed', night]);
      assert.equal((await operator.ok('POST', `/policies/${id}/remove`, { reason: 'over' })).revision, 6);

      const names = async (query: string) =>
        (await operator.ok('GET', `/policies${at}${query}`)).items.map(({ name }: { name: string }) => name);
      assert.deepEqual(await names(''), ['starter']);
      assert.deepEqual(await names('&mode=removed'), ['night']);
      assert.deepEqual(await names('&name=night'), ['night'], 'by its name it is found');

      const first = await operator.ok('GET', `/policies/${id}/versions?limit=3`);
      const second = await operator.ok('GET', `/policies/${id}/versions?limit=3&cursor=${first.next_cursor}`);
      const versions = [...first.items, ...second.items].map((one) => [one.revision, one.mode, one.reason]);
      assert.deepEqual(versions, [
        [6, 'removed', 'over'],
        [5, 'enforce', 'too long'],
        [4, 'observe', reason],
        [3, 'enforce', 'later'],
        [2, 'enforce', reason],
      ]);
      assert.equal(second.next_cursor, undefined);
      assert.equal((await operator.ok('GET', `/policies/${id}/versions/3`)).text, longer);

      const again = await operator.ok('PATCH', `/policies/${id}`, { mode: 'enforce', reason });
      assert.deepEqual(
        [again.revision, again.mode, again.text],
        [7, 'enforce', night],
        'one that was removed can decide again',
      );

      const { items } = await operator.ok('GET', `/events${at}&target=${id}`);
      const told = items.map((event: { type: string; org: string; agent: string; decided_on: { changed: object } }) => {
        assert.deepEqual([event.org, event.agent], [org, server.operator.client_id]);
        return [event.type, event.decided_on.changed];
      });
      const hash = created.body.text_hash;
      assert.deepEqual(told.slice(1, 3), [
        ['policy.removed', { name: 'night', revision: 6, mode: 'removed', text_hash: hash }],
        ['policy.updated', { name: 'night', revision: 5, mode: 'enforce', text_hash: hash, rolled_back_to: 2 }],
      ]);
      assert.equal(told.at(-1)[0], 'policy.created');
      assert.deepEqual(items[1].personal.details, { reason: 'over' });
      assert.ok(!JSON.stringify(items[1].decided_on).includes('over'), 'what people write is sealed');
    });

    const valid = { name: 'x', text: night, reason };
    const refused: [what: string, change: object, status: number, field: string, words: RegExp][] = [
      [
        'text that is no Cedar',
        { text: 'forbid (principal,\n  action resource);' },
        422,
        'text',
        /at line 2, column \d+: .*expected/,
      ],
      [
        'an attribute that the schema does not have',
        { text: night.replace('time.hour', 'time.hours') },
        422,
        'text',
        /at line 5, column \d+: .*hours/,
      ],
      ['a comparison of unlike things', { text: night.replace('< 6', '< "6"') }, 422, 'text', /at line 5/],
      [
        'a statement without @id',
        { text: 'permit (principal, action, resource);' },
        422,
        'text',
        /at line 1, column 1: .*@id/,
      ],
      ['two statements of one @id', { text: night + night }, 422, 'text', /at line 6/],
      ['an unknown annotation', { text: night.replace('@public', '@publik') }, 422, 'text', /at line 3.*@public/],
      ['a template', { text: night.replace('(principal,', '(principal == ?principal,') }, 422, 'text', /template/],
      ['nothing', { text: '' }, 400, 'text', /1 to 50000 characters/],
      ['a text that is too long', { text: `// ${'x'.repeat(50_000)}` }, 400, 'text', /several policies/],
      ['a text of another type', { text: 7 }, 400, 'text', /Cedar text/],
      ['a mode that there is not', { mode: 'removed' }, 400, 'mode', /enforce, observe/],
      ['no reason', { reason: undefined }, 400, 'reason', /1 to 500/],
      ['an empty reason', { reason: '' }, 400, 'reason', /1 to 500/],
      ['a name that is no slug', { name: 'No Nights' }, 400, 'name', /lowercase/],
      ['a name that is taken', { name: 'starter' }, 409, 'name', /is or was/],
      ['a member that there is not', { priority: 1 }, 400, 'priority', /not known|unknown/i],
    ];
    for (const [what, change, status, field, words] of refused) {
      test(`refuses ${what}, and changes nothing`, async () => {
        const before = (await operator.ok('GET', '/policies')).items;
        const reply = await operator.call('POST', '/policies', { ...valid, ...change });
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.body.errors[0].field, field, reply.text);
        assert.match(reply.body.errors[0].message, words);
        assert.deepEqual((await operator.ok('GET', '/policies')).items, before);
      });
    }

    test('a body that is larger than the server reads says by which setting', async () => {
      const reply = await operator.call('POST', '/policies', { ...valid, text: '\u0001'.repeat(30_000) });
      assert.equal(reply.status, 413);
      assert.match(reply.body.detail, /limits\.body_bytes/);
    });

    test('what can not decide is not saved by a change either, and the running set stays', async () => {
      const { at } = await organization();
      const { id } = await operator.ok('POST', `/policies${at}`, { name: 'night', text: night, reason });
      const reply = await operator.call('PATCH', `/policies/${id}`, { text: 'permit (', reason });
      assert.equal(reply.status, 422);
      assert.equal(reply.body.errors[0].field, 'text');
      assert.equal((await operator.ok('GET', `/policies/${id}`)).text, night);
      for (const [body, field] of [
        [{ revision: 99, reason }, 'revision'],
        [{ revision: 1, reason }, 'revision'], // of another policy
      ] as const) {
        const wrong = await operator.call('POST', `/policies/${id}/rollback`, body);
        assert.deepEqual([wrong.status, wrong.body.errors[0].field], [422, field]);
      }
      await operator.ok('POST', `/policies/${id}/remove`, { reason });
      const removed = await operator.call('PATCH', `/policies/${id}`, { text: night.replace('6', '5'), reason });
      assert.deepEqual([removed.status, removed.body.errors[0].field], [409, 'mode']);
      const toRemoved = await operator.call('POST', `/policies/${id}/rollback`, { revision: 3, reason });
      assert.deepEqual([toRemoved.status, toRemoved.body.errors[0].field], [422, 'revision']);
    });

    test('of two who change the same, one is told to read it again', async () => {
      const { at } = await organization();
      const { id } = await operator.ok('POST', `/policies${at}`, { name: 'night', text: night, reason });
      const read = await operator.call('GET', `/policies/${id}`);
      const etag = read.headers.get('etag') as string;
      const texts = [5, 4, 3].map((hour) => night.replace('< 6', `< ${hour}`));
      const replies = await Promise.all(
        texts.map((text) => operator.call('PATCH', `/policies/${id}`, { text, reason }, { 'if-match': etag })),
      );
      assert.deepEqual(replies.map(({ status }) => status).toSorted(), [200, 412, 412]);
      const { items } = await operator.ok('GET', `/policies/${id}/versions`);
      assert.equal(items.length, 2);
    });

    test('whoever writes at the same time, every change has a number of its own', async () => {
      const { at } = await organization();
      const replies = await Promise.all(
        [1, 2, 3, 4, 5].map((n) =>
          operator.ok('POST', `/policies${at}`, { name: `p${n}`, text: night.replace('no-nights', `n${n}`), reason }),
        ),
      );
      assert.deepEqual(replies.map(({ revision }) => revision).toSorted(), [2, 3, 4, 5, 6]);
    });

    test('who may read does not write, and who is elsewhere finds nothing', async () => {
      const { name, at } = await organization();
      const { id } = await operator.ok('POST', `/policies${at}`, { name: 'night', text: night, reason });
      const reader = await administrator(server, operator, { scopes: ['policies:read'], organization: name });
      assert.equal((await reader.call('GET', `/policies/${id}`)).status, 200);
      const stranger = await administrator(server, operator, { scopes: ['policies:read', 'policies:write'] });
      const requests: [method: string, path: string, body?: object][] = [
        ['PATCH', `/policies/${id}`, { mode: 'observe', reason }],
        ['POST', `/policies/${id}/rollback`, { revision: 2, reason }],
        ['POST', `/policies/${id}/remove`, { reason }],
      ];
      for (const [method, path, body] of requests) {
        assert.equal((await reader.call(method, path, body)).status, 403, path);
        assert.equal((await stranger.call(method, path, body)).status, 404, path);
      }
      assert.equal((await reader.call('POST', '/policies', { name: 'y', text: night, reason })).status, 403);
      for (const path of ['', '/versions', '/versions/2']) {
        assert.equal((await stranger.call('GET', `/policies/${id}${path}`)).status, 404, path);
      }
      assert.ok(!(await stranger.call('GET', '/policies')).text.includes(id));
    });

    test('checking says what is wrong and where, and saves nothing', async () => {
      const wrong = await operator.ok('POST', '/policies/check', { text: night.replace('< 6', '< "6"') });
      assert.equal(wrong.valid, false);
      assert.deepEqual([wrong.errors.length, wrong.errors[0].line], [1, 5]);
      assert.deepEqual(await operator.ok('POST', '/policies/check', { text: night }), {
        valid: true,
        errors: [],
        warnings: [],
      });
      assert.match((await operator.ok('GET', '/policies/schema')).schema, /entity Agent in \[Role\]/);
    });

    test('a set is compiled once for each revision, whatever else changes in the registry', async () => {
      const { at, id: org } = await organization();
      const { id } = await operator.ok('POST', `/policies${at}`, { name: 'night', text: night, reason });
      const set = async () => policySetOf(server.deps, (await asOf(server.deps.db)).version, org);
      const first = await set();
      assert.equal(first.revision, '2');
      await operator.ok('POST', `/teams${at}`, { name: 'unrelated' });
      assert.equal(await set(), first);
      await operator.ok('POST', `/policies/${id}/remove`, { reason });
      const second = await set();
      assert.equal(second.revision, '3');
      assert.deepEqual(second.statements.map(({ policy }) => policy).toSorted(), [
        'starter/a-credential-taken-away-elsewhere-suspends',
        'starter/declared-tasks-count-for-little',
        'starter/high-risk-suspends',
        'starter/revoked-elsewhere-ends-tokens',
        'starter/roles-do-what-they-say',
      ]);
    });

    test('policies that this version can not read deny everything, aloud, until they are removed', async () => {
      const { at, id: org } = await organization();
      const { id } = await operator.ok('POST', `/policies${at}`, { name: 'night', text: night, reason });
      await server.deps.db.transaction((tx) =>
        tx.run(
          "update policy_versions set text = 'permit (principal, action, resource) when { context.newer };' where policy = ?",
          [id],
        ),
      );
      const logged: unknown[] = [];
      const log = { ...server.deps.log, error: (...args: unknown[]) => void logged.push(args) };
      const deps = { ...server.deps, log: log as typeof server.deps.log };
      const version = (await asOf(server.deps.db)).version;
      const engine = await loadPolicyEngine();
      const answer = engine.evaluate(await policySetOf(deps, version, org), {
        principal: {
          type: 'Agent',
          id: 'agt_1',
          name: 'a',
          kind: 'ai_agent',
          environment: '',
          owner: 'tea_1',
          roles: [],
          instance: undefined,
          attested: {},
        },
        action: 'token:issue',
        resource: { type: 'Api', identifier: 'https://api.example', name: 'api', sensitivity: 'low' },
        context: {
          at: server.clock.now(),
          timeZone: 'UTC',
          address: undefined,
          country: undefined,
          zone: undefined,
          task: undefined,
          binding: 'dpop',
          method: 'private_key_jwt',
          proofAge: 0,
          scope: [],
          details: [],
          chainDepth: 0,
          subject: undefined,
          operation: undefined,
        },
      });
      assert.equal(answer.decision, 'deny');
      assert.deepEqual(
        answer.determining.map(({ policy }) => policy),
        ['bailiwick/unreadable'],
      );
      assert.equal(logged.length, 1);
      const other = await operator.call('POST', `/policies${at}`, { name: 'other', text: night, reason });
      assert.equal(other.status, 422, 'nothing else is saved beside it');
      assert.match(other.body.errors[0].field, /night/);
      await operator.ok('POST', `/policies/${id}/remove`, { reason });
      const mended = await policySetOf(deps, (await asOf(server.deps.db)).version, org);
      assert.equal(
        mended.statements.some(({ policy }) => policy === 'bailiwick/unreadable'),
        false,
      );
    });
  });
}
