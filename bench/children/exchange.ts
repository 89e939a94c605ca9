// Agents that act for people, in lines of three: each was passed a part of what the one before holds, and serves the API that they call.
import { createAgent } from '@bailiwick/agent';
import { generateJwk, publicJwk } from '@bailiwick/protocol';
import { registryOf } from '../../conformance/registry.ts';
import { type ExchangeLine, type ExchangeTarget, serveCalls } from '../child.ts';
import { type DurableServer, startDurable } from './durable.ts';

const scope = 'tickets:read';
const grants = ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'];

let running: DurableServer | undefined;

async function startExchange({ keys }: { keys: Record<string, unknown>[] }): Promise<ExchangeTarget> {
  running = await startDurable();
  const { issuer, admin } = running.server;
  const registry = await registryOf(admin);
  const resource = await registry.resource({ identifier: 'https://tickets.example/api', scopes: [scope] });
  const role = await registry.role('reader', [resource], [scope]);
  const agents: { id: string; passOn: ReturnType<typeof createAgent>['delegate'] }[] = [];
  for (const [index, jwk] of keys.entries()) {
    const resources = [{ resource, default: true, scope: [scope] }];
    const id = await registry.agent({ name: `agent-${index}`, jwk, resources, roles: [role], grants });
    // the generator keeps the other key to itself
    const key = await generateJwk('ES256');
    await admin('POST', '/credentials', { agent: id, jwk: publicJwk(key) });
    agents.push({ id, passOn: createAgent({ issuer, clientId: id, key }).delegate });
  }
  await admin('PATCH', `/resources/${resource.id}`, { served_by: agents.map(({ id }) => id) });

  const lines: ExchangeLine[] = [];
  for (const [at, { id, passOn }] of agents.entries()) {
    const [second, third] = [1, 2].map((step) => agents[(at + step) % agents.length]) as typeof agents;
    if (!second || !third) throw new Error('a line takes three agents');
    const { id: person } = await admin<{ id: string }>('POST', '/people', { name: `Person ${at}` });
    const { id: root } = await admin<{ id: string }>('POST', '/mandates', {
      person,
      agent: id,
      resources: [{ resource: resource.identifier, scope }],
      passing: { depth: 2 },
      expires_in: 86_400,
    });
    const { id: part } = await passOn({ mandate: root, to: second.id, passing: { depth: 1 } });
    const { id: last } = await second.passOn({ mandate: part, to: third.id });
    lines.push({ person, part, last });
  }
  return {
    issuer,
    tokenEndpoint: `${issuer}/oauth2/token`,
    jwksUri: `${issuer}/oauth2/jwks`,
    resource: resource.identifier,
    scope,
    clientIds: agents.map(({ id }) => id),
    lines,
    durability: running.durability,
  };
}

serveCalls({ startExchange }, () => running?.close());
