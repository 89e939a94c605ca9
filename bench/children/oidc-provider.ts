// The peer: oidc-provider as its documentation sets it up, in memory, with the same profile as ours.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';
import { type Start, serveCalls, type Target } from '../child.ts';

const resources = { dpop: 'https://tickets.example/dpop', bearer: 'https://tickets.example/bearer' };
const scope = 'tickets:read';

let server: Server | undefined;

async function start({ agents }: Start): Promise<Target> {
  server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const clients = agents.map((jwk, index) => ({
    client_id: `agent-${index}`,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    id_token_signed_response_alg: 'ES256',
    jwks: { keys: [jwk] },
    scope,
  }));
  const provider = new Provider(issuer, {
    clients,
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig' }] },
    scopes: [scope],
    ttl: { ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      // A nonce is demanded whenever a proof comes, as ours does.
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx: unknown, resource: string) => ({
          scope,
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  provider.on('server_error', (_ctx: unknown, error: Error) => console.error(error));
  server.on('request', provider.callback());
  return {
    issuer,
    tokenEndpoint: `${issuer}/token`,
    jwksUri: `${issuer}/jwks`,
    clientIds: clients.map((client) => client.client_id),
    resources,
    scope,
    durability: 'none: in memory',
  };
}

serveCalls({ start }, () => {
  server?.closeAllConnections();
  server?.close();
});
