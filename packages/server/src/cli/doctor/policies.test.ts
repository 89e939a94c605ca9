import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adminClient, administrator } from '../../testing/admin-client.ts';
import { startServer } from '../../testing/harness.ts';
import { openApi } from '../api.ts';
import { checkPolicies } from './policies.ts';

test('the doctor says when nothing is permitted, and what is only looked at for good', async () => {
  const server = await startServer();
  try {
    const context = {
      io: { now: server.clock.now } as Parameters<typeof openApi>[0]['io'],
      globals: { json: false, config: undefined, identity: undefined, organization: undefined },
    };
    const api = openApi(context, server.operator);
    const look = async (identity = api) =>
      (await checkPolicies(identity, server.clock.now())).map(({ status, message }) => `${status}: ${message}`);
    assert.deepEqual(await look(), ['ok: 1 enforced, 0 observed']);
    const operator = adminClient(server, server.operator);
    const text = '@id("a")\nforbid (principal, action, resource);\n';
    await operator.ok('POST', '/policies', { name: 'watching', text, mode: 'observe', reason: 'x' });
    assert.deepEqual(await look(), ['ok: 1 enforced, 1 observed']);
    server.clock.advance(31 * 86_400_000);
    assert.match((await look())[1] ?? '', /^note: Only observed for more than 30 d: watching\./);
    const starter = (await operator.ok('GET', '/policies?name=starter')).items[0];
    await operator.ok('POST', `/policies/${starter.id}/remove`, { reason: 'x' });
    assert.match((await look())[0] ?? '', /^fail: None is enforced/);
    const narrow = await administrator(server, operator, { scopes: ['agents:read'] });
    const theirs = openApi(context, { ...server.operator, client_id: narrow.clientId, jwk: narrow.jwk });
    assert.deepEqual(await look(theirs), [], 'what is not theirs to see');
  } finally {
    await server.close();
  }
});
