// The peer: oidc-provider as its documentation sets it up, in memory, with the same profiles as ours.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';
import { authority, serverCertificate } from '../certificates.ts';
import { type Start, serveCalls, type Target } from '../child.ts';

const resources = {
  dpop: 'https://tickets.example/dpop',
  bearer: 'https://tickets.example/bearer',
  mtls: 'https://tickets.example/mtls',
};
const scope = 'tickets:read';

const servers: Server[] = [];

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function start({ agents, certificates }: Start): Promise<Target> {
  const server = createServer();
  const issuer = `http://127.0.0.1:${await listen(server)}`;
  const root = await authority('CN=peer');
  const { chain: cert, key } = await serverCertificate(root);
  const asking = { requestCert: true, rejectUnauthorized: false, ca: [certificates.ca] };
  const tlsServer = createTlsServer({ cert, key, ...asking });
  const tlsPort = await listen(tlsServer);
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const common = {
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    id_token_signed_response_alg: 'ES256',
    scope,
  };
  const signing = agents.map((jwk, index) => ({
    ...common,
    client_id: `agent-${index}`,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: { keys: [jwk] },
  }));
  // a client of the peer has one way to authenticate
  const connecting = certificates.names.map((name, index) => ({
    ...common,
    client_id: `agent-${index}-mtls`,
    token_endpoint_auth_method: 'tls_client_auth',
    tls_client_auth_san_uri: name,
    tls_client_certificate_bound_access_tokens: true,
  }));
  const provider = new Provider(issuer, {
    clients: [...signing, ...connecting],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig' }] },
    clientAuthMethods: ['private_key_jwt', 'tls_client_auth'],
    scopes: [scope],
    ttl: { ClientCredentials: 600 },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      // A nonce is demanded whenever a proof comes, as ours does.
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        tlsClientAuth: true,
        getCertificate: ({ req }: Context) => (req.socket as TLSSocket).getPeerX509Certificate?.(),
        certificateAuthorized: ({ req }: Context) => (req.socket as TLSSocket).authorized,
        certificateSubjectMatches({ req }: Context, property: string, expected: string) {
          const { subjectAltName } = (req.socket as TLSSocket).getPeerX509Certificate() ?? {};
          return property === 'tls_client_auth_san_uri' && subjectAltName === `URI:${expected}`;
        },
      },
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
  tlsServer.on('request', provider.callback());
  const ids = signing.map((client) => client.client_id);
  return {
    issuer,
    tokenEndpoints: { dpop: `${issuer}/token`, bearer: `${issuer}/token`, mtls: `https://127.0.0.1:${tlsPort}/token` },
    ca: root.pem,
    jwksUri: `${issuer}/jwks`,
    clientIds: { dpop: ids, bearer: ids, mtls: connecting.map((client) => client.client_id) },
    resources,
    scope,
    durability: 'none: in memory',
  };
}

interface Context {
  req: IncomingMessage;
}

serveCalls({ start }, () => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});
