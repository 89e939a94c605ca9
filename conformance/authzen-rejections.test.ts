/** What the decision point takes no notice of, and what it refuses. Nothing here is a decision. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startServer, type TestServer } from '../packages/server/src/testing/harness.ts';
import { evaluator, type PdpClient } from '../packages/server/src/testing/pdp-client.ts';

const question = {
  subject: { type: 'user', id: 'alice' },
  action: { name: 'read' },
  resource: { type: 'record', id: '1' },
};
const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });
const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, 'x']));
const text = (value: object) => JSON.stringify(value);

describe('the decision point', () => {
  let server: TestServer;
  let pep: PdpClient;
  before(async () => {
    server = await startServer();
    pep = await evaluator(server);
  });
  after(() => server.close());

  const bodies: Record<string, [what: string, body: unknown, status: number, says: RegExp][]> = {
    evaluation: [
      ['a list', [question], 400, /must be a JSON object/],
      ['null', 'null', 400, /must be a JSON object/],
      ['a text', '"yes"', 400, /must be a JSON object/],
      ['half a document', '{"subject":{', 400, /must be JSON/],
      ['two documents', '{}{}', 400, /must be JSON/],
      ['17 levels', { ...question, context: nested(16) }, 400, /16 levels/],
      ['__proto__', text(question).replace('"id"', '"__proto__":{},"id"'), 400, /must not have this member/],
      ['a NUL', text({ ...question, context: { a: '\0' } }), 400, /U\+0000/],
      ['half a surrogate pair', '{"subject":"\\ud800"}', 400, /well-formed/],
      ['a context of 1 MB', { ...question, context: { a: 'x'.repeat(1 << 20) } }, 413, /at most \d+ bytes/],
      ['an empty id', { ...question, subject: { type: 'user', id: '' } }, 400, /subject\.id/],
      ['an id of 1025 letters', { ...question, subject: { type: 'user', id: 'x'.repeat(1025) } }, 400, /subject\.id/],
      [
        'a subject’s type with a colon',
        { ...question, subject: { type: 'a:b', id: '1' } },
        400,
        /subject\.type.*colon/,
      ],
      [
        'a resource’s type with a colon',
        { ...question, resource: { type: 'a:b', id: '1' } },
        400,
        /resource\.type.*colon/,
      ],
      ['a type that is a list', { ...question, resource: { type: ['record'], id: '1' } }, 400, /resource\.type/],
      [
        'properties that are a list',
        { ...question, subject: { ...question.subject, properties: [] } },
        400,
        /subject\.properties/,
      ],
      [
        'properties that are too much together',
        {
          ...question,
          subject: {
            ...question.subject,
            properties: Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`p${i}`, 'x'.repeat(512)])),
          },
        },
        400,
        /subject\.properties must have at most 4096/,
      ],
      ['65 properties', { ...question, resource: { ...question.resource, properties: many(65) } }, 400, /at most 64/],
      [
        'a property of 513 letters',
        { ...question, action: { name: 'read', properties: { a: 'x'.repeat(513) } } },
        400,
        /action\.properties\.a must be at most 512/,
      ],
      [
        'a number that no double holds',
        text({ ...question, action: { name: 'read', properties: { a: 1 } } }).replace(':1}', ':1e999}'),
        400,
        /action\.properties\.a/,
      ],
      ['a context that is a text', { ...question, context: 'now' }, 400, /context/],
      ['a member of the context of 513 letters', { ...question, context: { a: 'x'.repeat(513) } }, 400, /context\.a/],
      [
        'an address that is none',
        { ...question, context: { presenter_address: '10.0.0.300' } },
        400,
        /context\.presenter_address must be an IP address/,
      ],
      [
        'a network in place of an address',
        { ...question, context: { presenter_address: '10.0.0.0/8' } },
        400,
        /presenter_address/,
      ],
      ['a token that is a number', { ...question, context: { access_token: 1 } }, 400, /context\.access_token/],
    ],
    evaluations: [
      ['101 questions', { ...question, evaluations: Array(101).fill({}) }, 400, /evaluations must be at most 100/],
      ['a list that is none', { ...question, evaluations: {} }, 400, /evaluations must be a list/],
      [
        'a semantic that nobody knows',
        { ...question, evaluations: [{}], options: { evaluations_semantic: 'most' } },
        400,
        /execute_all, deny_on_first_deny, permit_on_first_permit/,
      ],
      ['options that are a list', { ...question, evaluations: [{}], options: [] }, 400, /options/],
      [
        'a subject for all that is a text, though each has its own',
        { ...question, subject: 'alice', evaluations: [question] },
        400,
        /subject/,
      ],
      ['nothing to ask', { evaluations: [] }, 400, /subject/],
    ],
    'search/subject': [
      ['a limit below nothing', { ...question, page: { limit: -1 } }, 400, /page\.limit/],
      ['half a limit', { ...question, page: { limit: 1.5 } }, 400, /page\.limit/],
      ['a page that is a number', { ...question, page: 2 }, 400, /page/],
      ['a cursor that we never made', { ...question, page: { token: 'bm8' } }, 400, /page\.token/],
      [
        'a cursor of another search',
        { ...question, page: { token: Buffer.from('[1,"x",50,"a"]').toString('base64url') } },
        400,
        /page\.token/,
      ],
    ],
  };
  for (const [endpoint, rows] of Object.entries(bodies)) {
    for (const [what, body, status, says] of rows) {
      test(`${endpoint} refuses ${what}`, async () => {
        const answer = await pep.ask(endpoint, body);
        assert.equal(answer.status, status, answer.text);
        assert.match(answer.body.detail, says);
        assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
      });
    }
  }

  test('bytes that are no UTF-8 are refused', async () => {
    const response = await pep.sdk.fetch(`${server.issuer}/access/v1/evaluation`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.concat([Buffer.from('{"subject":"'), Buffer.from([0xff]), Buffer.from('"}')]),
    });
    assert.equal(response.status, 400);
  });

  for (const [what, more] of [
    ['fields that nobody knows', { future: { a: [1, null, true] } }],
    ['a number that no double holds, where nobody looks', { future: 1 }],
    ['properties that are null', { subject: { ...question.subject, properties: { a: null } } }],
    ['64 properties', { subject: { ...question.subject, properties: many(64) } }],
    ['a task in words of one’s own', { context: { task: 'dig' } }],
  ] as const) {
    test(`takes ${what}`, async () => {
      const body = text({ ...question, ...more }).replace('"future":1', '"future":1e999');
      assert.equal((await pep.ask('evaluation', body)).status, 200);
    });
  }

  describe('refuses whoever', () => {
    const url = () => `${server.issuer}/access/v1/evaluation`;
    const headers = { 'content-type': 'application/json' };

    test('has no token: with a challenge that leads to one', async () => {
      const response = await fetch(url(), { method: 'POST', headers, body: text(question) });
      assert.equal(response.status, 401);
      const challenge = response.headers.get('www-authenticate') ?? '';
      assert.match(challenge, /^DPoP /);
      const [, metadata = ''] = /resource_metadata="([^"]+)"/.exec(challenge) ?? [];
      const { resource, scopes_supported } = (await (await fetch(metadata)).json()) as Record<string, unknown>;
      assert.equal(resource, server.issuer);
      assert.ok((scopes_supported as string[]).includes('access:evaluate'));
    });

    test('has no token, before what was sent is looked at', async () => {
      const response = await fetch(url(), { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{' });
      assert.equal(response.status, 401);
    });

    test('has a token without the proof of its key', async () => {
      const token = (await pep.sdk.token()).dangerouslyExposeToken();
      for (const authorization of [`Bearer ${token}`, `DPoP ${token}`]) {
        const response = await fetch(url(), {
          method: 'POST',
          headers: { ...headers, authorization },
          body: text(question),
        });
        assert.equal(response.status, 401);
      }
    });

    test('has a token for the admin API', async () => {
      const response = await server.agent
        .fetch(url(), {
          method: 'POST',
          headers,
          body: text(question),
          resource: `${server.issuer}/admin`,
        } as never)
        .catch((error: Error) => error);
      assert.ok(response instanceof Error || response.status === 401);
    });

    test('may open tasks, and was not given to ask', async () => {
      const orchestrator = await evaluator(server, { scope: ['tasks:open'] });
      const response = await orchestrator.sdk.fetch(url(), { method: 'POST', headers, body: text(question) });
      assert.equal(response.status, 403);
      assert.match(
        response.headers.get('www-authenticate') ?? '',
        /error="insufficient_scope".*scope="access:evaluate"/,
      );
    });

    test('uses another method', async () => {
      for (const method of ['GET', 'PUT', 'DELETE', 'PATCH']) {
        const response = await pep.sdk.fetch(url(), { method });
        assert.deepEqual([response.status, response.headers.get('allow')], [405, 'POST'], method);
      }
    });

    test('asks anywhere else below /access', async () => {
      for (const path of ['/access/v1', '/access/v1/evaluation/', '/access/v2/evaluation', '/access/v1/search']) {
        assert.equal((await fetch(server.issuer + path, { method: 'POST' })).status, 404, path);
      }
    });
  });
});
