/** What a task ends with, beside what stands in `grants/task.test.ts`: the instance that opened it, its organization, a suspension before. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { tidy } from '../jobs.ts';
import { databases, startServer, type TestServer } from '../testing/harness.ts';
import { instanceClient, type TestInstance } from '../testing/instance-client.ts';
import { orchestratorClient, roleOf } from '../testing/orchestrator.ts';
import { type TokenClient, tokenClient } from '../testing/token-client.ts';

const minute = 60_000;
const hour = 60 * minute;
const service = (server: TestServer) => ({ resource: server.issuer, scope: 'tasks:open' });

/** Fresh agents: one that orchestrates by its instances, and one that works. */
async function sceneOf(server: TestServer) {
  const [orchestrator, worker] = await Promise.all([tokenClient(server), tokenClient(server)]);
  await server.admin('PUT', `/agents/${orchestrator.clientId}/roles/${await roleOf(server, 'orchestrator')}`);
  await server.admin('PATCH', `/agents/${orchestrator.clientId}`, {
    resources: [{ resource: server.issuer, default: true, scope: ['tasks:open'] }],
  });
  const instances = instanceClient(server, orchestrator);
  /** Opens a task of a day by an instance, and gets a token of it. */
  async function opened(by: Pick<TestInstance, 'id' | 'signer'>): Promise<{ task: string; token: string }> {
    const { body } = await instances.tokenOf(by, service(server));
    const htu = `${server.issuer}/tasks`;
    const accessToken = body.access_token as string;
    const reply = await instances.send(
      'POST',
      htu,
      { agent: worker.clientId, workflow: 'billing', lifetime_seconds: 86_400 },
      {
        authorization: `DPoP ${accessToken}`,
        dpop: await instances.proofBy(by.signer, 'POST', htu, { accessToken }),
      },
    );
    assert.equal(reply.status, 201, JSON.stringify(reply.body));
    const task = reply.body.id as string;
    return { task, token: await mustHave(worker, task) };
  }
  const isActive = async (token: string) => (await instanceClient(server, worker).introspect(token)).active;
  return { orchestrator, worker, instances, opened, isActive };
}

async function mustHave(worker: TokenClient, task: string): Promise<string> {
  const { status, body } = await worker.send({ task });
  assert.equal(status, 200, JSON.stringify(body));
  return String(body.access_token);
}

async function mustBeRefused(worker: TokenClient, task: string, when = 'it has ended'): Promise<void> {
  const { status, body } = await worker.send({ task });
  assert.deepEqual([status, body.error], [400, 'invalid_grant'], when);
}

for (const database of databases) {
  describe(`what tasks end with, on ${database}`, () => {
    let server: TestServer;
    before(async () => {
      server = await startServer({
        database,
        config: { limits: { tokens_per_minute: 100_000 }, instances: { keep_ended_seconds: 0 } },
      });
    });
    after(() => server.close());

    test('the instance that opened it is ended, by an administrator or by itself', async () => {
      const { instances, worker, opened, isActive } = await sceneOf(server);
      const [first, second, other] = [
        await instances.instance(),
        await instances.instance(),
        await instances.instance(),
      ];
      const tasks = [await opened(first), await opened(second)] as const;
      const goesOn = await opened(other);
      await server.admin('DELETE', `/instances/${first.id}`);
      await instances.call(second, 'DELETE');
      for (const { task, token } of tasks) {
        assert.equal(await isActive(token), false);
        await mustBeRefused(worker, task);
      }
      assert.equal(await isActive(goesOn.token), true);
      await mustHave(worker, goesOn.task);
    });

    test('an instance above the one that opened it is ended, though that one’s own time was up before', async () => {
      const { instances, worker, opened } = await sceneOf(server);
      const parent = await instances.instance();
      const child = await instances.child(parent, { lifetime_seconds: 60 });
      assert.equal(child.status, 201, JSON.stringify(child.body));
      const { task } = await opened({ id: child.id, signer: child.signer });
      server.clock.advance(2 * minute);
      const token = await mustHave(worker, task);
      await server.admin('DELETE', `/instances/${parent.id}`);
      assert.equal((await instanceClient(server, worker).introspect(token)).active, false);
      await mustBeRefused(worker, task);
    });

    test('an instance whose time was up ends none, forgotten or not; one that was ended brings none back', async () => {
      const { instances, worker, opened } = await sceneOf(server);
      const byToken = await instances.token();
      const enrolled = await instances.enrol({ token: byToken.secret });
      assert.equal(enrolled.status, 201);
      const [stopped, late] = [await instances.instance(), await instances.instance()];
      const [ended, goesOn] = [await opened(stopped), await opened(late)];
      await server.admin('DELETE', `/instances/${stopped.id}`);
      for (let n = 0; n < 23; n++) {
        server.clock.advance(hour);
        await tidy(server.deps);
        await mustBeRefused(worker, ended.task, `after ${n + 1} hours`);
        await mustHave(worker, goesOn.task);
      }
      server.clock.advance(hour);
      await mustBeRefused(worker, goesOn.task, 'its day is over');
    });

    test('its organization is suspended, be it resumed meanwhile', async () => {
      const { id } = await server.admin<{ id: string }>('POST', '/organizations', { name: 'elsewhere' });
      const [orchestrator, worker] = [
        await orchestratorClient(server, { organization: id }),
        await orchestratorClient(server, { organization: id }),
      ];
      const wanted = (task: string) => worker.client.tokenWith({ resource: server.issuer, task });
      const open = (await orchestrator.open(worker.clientId)).id;
      const presented = orchestrator.sign({ sub: worker.clientId });
      const kept = orchestrator.sign({ sub: worker.clientId });
      for (const task of [open, presented]) await wanted(task);
      await server.admin('POST', `/organizations/${id}/suspend`, { reason: 'test' });
      for (const task of [open, presented, kept]) await assert.rejects(wanted(task));
      await server.admin('POST', `/organizations/${id}/resume`);
      for (const task of [open, presented, kept]) await assert.rejects(wanted(task), /invalid_grant/);
      server.clock.advance(2 * minute);
      await wanted(orchestrator.sign({ sub: worker.clientId }));
    });

    test('what was signed before its orchestrator was suspended is nothing afterwards', async () => {
      const { worker } = await sceneOf(server);
      const orchestrator = await orchestratorClient(server);
      const signed = orchestrator.sign({ sub: worker.clientId });
      const iat = Math.floor(server.clock.now() / 1000) + 30;
      const ahead = orchestrator.sign({ sub: worker.clientId, claims: { iat } });
      await server.admin('POST', `/agents/${orchestrator.clientId}/suspend`, { reason: 'test' });
      await server.admin('POST', `/agents/${orchestrator.clientId}/resume`);
      for (const each of [signed, ahead]) await mustBeRefused(worker, each);
      server.clock.advance(2 * minute);
      for (const each of [signed, ahead]) await mustBeRefused(worker, each, 'and stays so');
      await mustHave(worker, orchestrator.sign({ sub: worker.clientId }));
    });

    test('an orchestrator that is not registered for this API signs none, whatever its role', async () => {
      const { worker } = await sceneOf(server);
      const orchestrator = await orchestratorClient(server);
      const { id } = await orchestrator.open(worker.clientId);
      const signed = orchestrator.sign({ sub: worker.clientId });
      await mustHave(worker, signed);
      await server.admin('PATCH', `/agents/${orchestrator.clientId}`, { resources: [] });
      for (const task of [id, signed, orchestrator.sign({ sub: worker.clientId })]) await mustBeRefused(worker, task);
    });
  });
}
