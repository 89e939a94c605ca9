// The server as it is by default, on SQLite on a real disk, with one resource, its guards, and agents that call it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../packages/server/src/lib/clock.ts';
import { endToken } from '../../packages/server/src/liveness/liveness.ts';
import { freePort } from '../../packages/server/src/testing/free-port.ts';
import { startServer, type TestServer } from '../../packages/server/src/testing/harness.ts';
import { type RevocationTarget, serveCalls } from '../child.ts';

// beside the sources and not in the system's temporary folder, which may be memory, where durability costs nothing
const scratch = fileURLToPath(new URL('../.tmp/', import.meta.url));

let server: TestServer | undefined;
let data: string | undefined;
let ended: { agent: string; resource: string } | undefined;

async function startRevocation(input: {
  guards: Record<string, unknown>[];
  agents: Record<string, unknown>[];
}): Promise<RevocationTarget> {
  mkdirSync(scratch, { recursive: true });
  data = mkdtempSync(join(scratch, 'data-'));
  const port = await freePort();
  server = await startServer({
    clock: { ...systemClock, advance: () => {} },
    // more than a benchmark asks for: the limit is checked, and never reached
    config: {
      data,
      port,
      // a hundred guards in one process would look the name up with its four threads, and wait for each other
      issuer: `http://127.0.0.1:${port}`,
      trust_domain: 'bench.example',
      limits: { tokens_per_minute: 1_000_000 },
    },
  });
  const durability = await server.deps.db.durability();
  assert.deepEqual(durability, { database: 'sqlite', journal_mode: 'wal', synchronous: 'full' });
  const { admin, issuer, operator } = server;
  const post = (path: string, body: object) => admin<{ id: string; agent: string }>('POST', path, body);
  const identifier = 'https://tickets.example/api';
  const team = await post('/teams', { name: 'support' });
  const resource = await post('/resources', {
    identifier,
    name: 'Tickets',
    scopes: [{ name: 'tickets:read' }],
    operations: [{ name: 'read', method: 'GET', path: '/tickets/{id}', scope: ['tickets:read'], sensitivity: 'low' }],
    // half of the callers prove a key, and half don't
    token: { dangerously_bearer: true },
  });
  const role = await post('/roles', {
    name: 'reader',
    permissions: [{ resource: resource.id, scopes: ['tickets:read'] }],
  });
  const clientIds: string[] = [];
  for (const [index, jwk] of input.agents.entries()) {
    const { id } = await post('/agents', {
      name: `agent-${index}`,
      kind: 'workload',
      owner: team.id,
      resources: [{ resource: resource.id, default: true, scope: ['tickets:read'] }],
    });
    await post('/credentials', { agent: id, jwk });
    await admin('PUT', `/agents/${id}/roles/${role.id}`);
    clientIds.push(id);
  }
  const guardIds: string[] = [];
  for (const [index, jwk] of input.guards.entries()) {
    const guard = { name: `guard-${index}`, resource: resource.id, owner: team.id, jwk };
    guardIds.push((await post('/guards', guard)).agent);
  }
  ended = { agent: clientIds[0] as string, resource: resource.id };
  return {
    issuer,
    resource: identifier,
    clientIds,
    guardIds,
    operator: { ...operator },
    durability: `${durability.database}, journal_mode=${durability.journal_mode}, synchronous=${durability.synchronous}`,
  };
}

/** As many at once as would come by as many requests. */
const endsAtOnce = 50;

/** By the function that every early end of a token goes through, without the request that orders it. */
async function endTokens({ seconds }: { seconds: number }): Promise<number> {
  assert.ok(server && ended);
  const { db, clock } = server.deps;
  const { agent, resource } = ended;
  const until = clock.monotonic() + seconds * 1000;
  let count = 0;
  const worker = async () => {
    while (clock.monotonic() < until) {
      const token = { jti: randomUUID(), agent, resource, endsAt: clock.now() + 600_000 };
      await db.transaction((tx) => endToken(tx, token, { reason: 'a benchmark', by: agent, now: clock.now() }));
      count += 1;
      await new Promise((resolve) => setImmediate(resolve)); // others get their turn, as between requests
    }
  };
  await Promise.all(Array.from({ length: endsAtOnce }, worker));
  return count;
}

serveCalls({ startRevocation, endTokens }, async () => {
  await server?.close();
  if (data !== undefined) rmSync(data, { recursive: true, force: true });
});
