// Our own side: the server as it is by default, on SQLite on a real disk, with nothing left out of its road.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { registryOf } from '../../conformance/registry.ts';
import { systemClock } from '../../packages/server/src/lib/clock.ts';
import { startServer, type TestServer } from '../../packages/server/src/testing/harness.ts';
import { type Start, serveCalls, type Target } from '../child.ts';

// beside the sources and not in the system's temporary folder, which may be memory, where durability costs nothing
const scratch = fileURLToPath(new URL('../.tmp/', import.meta.url));
const scope = 'tickets:read';

let server: TestServer | undefined;
let data: string | undefined;

async function start({ agents }: Start): Promise<Target> {
  mkdirSync(scratch, { recursive: true });
  data = mkdtempSync(join(scratch, 'data-'));
  server = await startServer({
    clock: { ...systemClock, advance: () => {} },
    // more than a benchmark asks for: the limit is checked, and never reached
    config: { data, limits: { tokens_per_minute: 1_000_000 } },
  });
  const durability = await server.deps.db.durability();
  assert.deepEqual(durability, { database: 'sqlite', journal_mode: 'wal', synchronous: 'full' });

  const registry = await registryOf(server.admin);
  const dpop = await registry.resource({ identifier: 'https://tickets.example/dpop', scopes: [scope] });
  const bearer = await registry.resource({
    identifier: 'https://tickets.example/bearer',
    scopes: [scope],
    bearer: true,
  });
  const role = await registry.role('reader', [dpop, bearer], [scope]);
  const clientIds: string[] = [];
  for (const [index, jwk] of agents.entries()) {
    const resources = [dpop, bearer].map((resource) => ({ resource, default: resource === dpop, scope: [scope] }));
    clientIds.push(
      await registry.agent({ name: `agent-${index}`, jwk, resources, roles: [role], grants: ['client_credentials'] }),
    );
  }
  return {
    issuer: server.issuer,
    tokenEndpoint: `${server.issuer}/oauth2/token`,
    jwksUri: `${server.issuer}/oauth2/jwks`,
    clientIds,
    resources: { dpop: dpop.identifier, bearer: bearer.identifier },
    scope,
    durability: `${durability.database}, journal_mode=${durability.journal_mode}, synchronous=${durability.synchronous}`,
  };
}

serveCalls({ start }, async () => {
  await server?.close();
  if (data !== undefined) rmSync(data, { recursive: true, force: true });
});
