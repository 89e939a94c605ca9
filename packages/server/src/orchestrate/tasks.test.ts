/** Tasks over HTTP: opened, seen and ended by their orchestrator, and what that does to tokens. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { linkTag, parseCompact } from '@bailiwick/protocol';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { orchestratorClient, roleOf } from '../testing/orchestrator.ts';
import { tokenClient } from '../testing/token-client.ts';

type Events = { items: Record<string, unknown>[] };

for (const database of databases) {
  describe(`tasks, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
    });
    after(() => server.close());

    const claimsOf = (token: unknown) => parseCompact(String(token)).payload as Record<string, unknown>;
    const scene = async () => {
      const [orchestrator, agent] = await Promise.all([orchestratorClient(server), tokenClient(server)]);
      return { orchestrator, agent };
    };
    const isActive = async (agent: Awaited<ReturnType<typeof tokenClient>>, token: unknown) => {
      const { client_assertion, client_assertion_type } = await agent.form();
      const response = await fetch(`${server.issuer}/oauth2/introspect`, {
        method: 'POST',
        body: new URLSearchParams({
          client_assertion: client_assertion as string,
          client_assertion_type: client_assertion_type as string,
          token: String(token),
        }),
      });
      return (await response.json()) as { active: boolean } & Record<string, unknown>;
    };

    test('where tokens for it come from is published', async () => {
      const response = await fetch(`${server.issuer}/.well-known/oauth-protected-resource`);
      const metadata = (await response.json()) as Record<string, unknown>;
      assert.equal(metadata.resource, server.issuer);
      assert.deepEqual(metadata.authorization_servers, [server.issuer]);
      assert.ok((metadata.scopes_supported as string[]).includes('tasks:open'));
      const anonymous = await fetch(`${server.issuer}/tasks`, { method: 'POST', body: '{}' });
      assert.equal(anonymous.status, 401);
      assert.match(anonymous.headers.get('www-authenticate') ?? '', /resource_metadata=/);
    });

    test('opened, named by a token, seen, ended: and the token is dead', async () => {
      const { orchestrator, agent } = await scene();
      const opened = await orchestrator.call('POST', '/tasks', {
        agent: agent.clientId,
        workflow: 'monthly-billing',
        step: 'collect',
        environment: 'production',
        purpose: 'collect what October owes',
        resources: [{ resource: agent.identifier, scope: 'tickets:read' }],
        lifetime_seconds: 900,
      });
      assert.equal(opened.status, 201, opened.text);
      assert.match(opened.body.id, /^tsk_/);
      assert.equal(opened.headers.get('location'), `${server.issuer}/tasks/${opened.body.id}`);
      assert.equal(opened.body.status, 'open');
      const { status, body } = await agent.send({ task: opened.body.id });
      assert.equal(status, 200, JSON.stringify(body));
      const claims = claimsOf(body.access_token);
      assert.deepEqual(claims.task, {
        id: opened.body.id,
        workflow: 'monthly-billing',
        step: 'collect',
        env: 'production',
      });
      assert.ok(!JSON.stringify(claims).includes('October'), 'what people wrote stays out of tokens');
      const links = claims.links as string[];
      for (const id of [orchestrator.clientId, orchestrator.credential, await roleOf(server, 'orchestrator')]) {
        assert.ok(links.includes(linkTag(id)), 'it rests on who opened the task, and by what');
      }
      const seen = await isActive(agent, body.access_token);
      assert.deepEqual([seen.active, (seen.task as { id: string }).id], [true, opened.body.id]);
      const shown = await orchestrator.call('GET', `/tasks/${opened.body.id}`);
      assert.deepEqual(shown.body, opened.body);
      assert.equal((await orchestrator.call('DELETE', `/tasks/${opened.body.id}`)).status, 204);
      assert.equal((await isActive(agent, body.access_token)).active, false);
      assert.equal(
        (await orchestrator.call('DELETE', `/tasks/${opened.body.id}`)).status,
        204,
        'again changes nothing',
      );
      const after = await orchestrator.call('GET', `/tasks/${opened.body.id}`);
      assert.equal(after.body.status, 'ended');
      assert.ok(after.body.ended_at);
      const refused = await agent.send({ task: opened.body.id });
      assert.deepEqual([refused.status, refused.body.error], [400, 'invalid_grant']);
      const { items } = await server.admin<Events>('GET', `/events?agent=${orchestrator.clientId}&limit=200`);
      assert.deepEqual(
        items
          .map(({ type }) => type)
          .filter((type) => String(type).startsWith('task.'))
          .sort(),
        ['task.ended', 'task.opened'],
      );
    });

    test('a token ends with its task at the latest, and a task by its own time', async () => {
      const { orchestrator, agent } = await scene();
      const task = await orchestrator.open(agent.clientId, { lifetime_seconds: 60 });
      const { body } = await agent.send({ task: task.id });
      assert.equal(body.expires_in, 60);
      server.clock.advance(60_000);
      const late = await agent.send({ task: task.id });
      assert.deepEqual([late.status, late.body.error], [400, 'invalid_grant']);
    });
  });
}
