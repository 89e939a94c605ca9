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

async function start({ agents, certificates }: Start): Promise<Target> {
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
  const mtls = await registry.resource({ identifier: 'https://tickets.example/mtls', scopes: [scope] });
  const role = await registry.role('reader', [dpop, bearer, mtls], [scope]);
  const clientIds: string[] = [];
  for (const [index, jwk] of agents.entries()) {
    const resources = [dpop, bearer, mtls].map((resource) => ({
      resource,
      default: resource === dpop,
      scope: [scope],
    }));
    const grants = ['client_credentials'];
    const id = await registry.agent({ name: `agent-${index}`, jwk, resources, roles: [role], grants });
    const subject = { field: 'san_uri', value: certificates.names[index], ca: certificates.ca };
    await server.admin('POST', '/credentials', { agent: id, kind: 'certificate_subject', subject });
    clientIds.push(id);
  }
  const { mtls_endpoint_aliases: aliases, token_endpoint: plain } = await documentAt(
    `${server.issuer}/.well-known/oauth-authorization-server`,
  );
  return {
    issuer: server.issuer,
    tokenEndpoints: { dpop: plain, bearer: plain, mtls: aliases.token_endpoint },
    ca: await (await fetch(`${server.issuer}/spiffe/ca.pem`)).text(),
    jwksUri: `${server.issuer}/oauth2/jwks`,
    clientIds: { dpop: clientIds, bearer: clientIds, mtls: clientIds },
    resources: { dpop: dpop.identifier, bearer: bearer.identifier, mtls: mtls.identifier },
    scope,
    durability: `${durability.database}, journal_mode=${durability.journal_mode}, synchronous=${durability.synchronous}`,
  };
}

interface Metadata {
  token_endpoint: string;
  mtls_endpoint_aliases: { token_endpoint: string };
}

async function documentAt(url: string): Promise<Metadata> {
  return (await (await fetch(url)).json()) as Metadata;
}

serveCalls({ start }, async () => {
  await server?.close();
  if (data !== undefined) rmSync(data, { recursive: true, force: true });
});
