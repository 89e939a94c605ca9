/** Another provider of identities, made of `jose`: it describes itself, publishes its keys, and signs whatever a test wants. */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import type { FakeClock } from '../lib/clock.ts';

export type ForeignIssuer = Awaited<ReturnType<typeof foreignIssuer>>;
export type ForeignClaims = JWTPayload & Record<string, unknown>;

/** @param web whose certificate it shows, @param path what its name has behind the host */
export async function foreignIssuer(web: { cert: string; key: string }, clock: FakeClock, path = '') {
  const keyOf = async (kid: string, alg = 'ES256') => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
  };
  const key = await keyOf('one');
  const json =
    (body: unknown, headers: Record<string, string> = {}) =>
    (response: ServerResponse) => {
      response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    };
  const server = createServer(web, (request, response) => {
    const url = request.url ?? '';
    const asked = url === `${path}/jwks` ? self.asked.keys++ : self.asked.metadata.push(url);
    void asked;
    if (url === `${path}/jwks`) self.keysWanted(response);
    else if (url === `${path}/.well-known/openid-configuration`) self.metadataWanted(response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}${path}`;

  const self = {
    issuer,
    key,
    keyOf,
    /** What it publishes: may be changed, or answered otherwise. */
    jwks: [key.jwk] as unknown[],
    metadata: { issuer, jwks_uri: `${issuer}/jwks` } as Record<string, unknown>,
    headers: {} as Record<string, string>,
    keysWanted: (response: ServerResponse): void => json({ keys: self.jwks }, self.headers)(response),
    metadataWanted: (response: ServerResponse): void => json(self.metadata)(response),
    /** What it was asked for so far. */
    asked: { keys: 0, metadata: [] as string[] },

    /** Claims that every good token has, for an hour; `undefined` takes one away. */
    claims(more: Record<string, unknown> = {}): ForeignClaims {
      const now = Math.floor(clock.now() / 1000);
      const all = { iss: issuer, iat: now, exp: now + 3600, jti: randomUUID(), ...more };
      return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as ForeignClaims;
    },
    sign(claims: ForeignClaims, header: Partial<JWTHeaderParameters> = {}, by = key): Promise<string> {
      const { typ = 'JWT', ...rest } = header;
      const all = { alg: by.alg, kid: by.kid, ...(typ !== '' && { typ }), ...rest };
      return new SignJWT(claims).setProtectedHeader(all as JWTHeaderParameters).sign(by.privateKey);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
  return self;
}
