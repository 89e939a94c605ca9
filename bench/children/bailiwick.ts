// Our own side: the server as it is by default, on SQLite on a real disk, with nothing left out of its road.
import { registryOf } from '../../conformance/registry.ts';
import { type Start, serveCalls, type Target } from '../child.ts';
import { type DurableServer, startDurable } from './durable.ts';

const scope = 'tickets:read';

let running: DurableServer | undefined;

async function start({ agents, certificates }: Start): Promise<Target> {
  running = await startDurable();
  const { server, durability } = running;
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
    durability,
  };
}

interface Metadata {
  token_endpoint: string;
  mtls_endpoint_aliases: { token_endpoint: string };
}

async function documentAt(url: string): Promise<Metadata> {
  return (await (await fetch(url)).json()) as Metadata;
}

serveCalls({ start }, () => running?.close());
