// The guard's decision without HTTP, by its public entrance for adapters, offline: what is left is the guard itself.
import { createHash, createPublicKey, type KeyObject, randomUUID, verify } from 'node:crypto';
import { createGuard, type Guard, type GuardRequest } from '@bailiwick/guard';
import { importJWK, jwtVerify } from 'jose';
import { type GuardFigures, ownCpu, serveCalls } from '../child.ts';
import { compact, type KeyPair, keyPair } from '../load.ts';

const issuer = 'https://id.example';
const resource = 'https://tickets.example/api';
const agentCount = 20;
const operations = [
  { name: 'list', method: 'GET', path: '/tickets', scope: ['tickets:read'], sensitivity: 'low' as const },
  { name: 'read', method: 'GET', path: '/tickets/{id}', scope: ['tickets:read'], sensitivity: 'low' as const },
  {
    name: 'close',
    method: 'POST',
    path: '/tickets/{id}/close',
    scope: ['tickets:write'],
    sensitivity: 'medium' as const,
  },
];

interface Holder {
  key: KeyPair;
  token: string;
}

/** A token as large as ours are. */
function token(signer: KeyPair, jkt: string | undefined): string {
  const iat = Math.floor(Date.now() / 1000);
  const client = `agt_${'0'.repeat(26)}`;
  const claims = {
    iss: issuer,
    sub: 'spiffe://id.example/acme/support-assistant',
    aud: resource,
    client_id: client,
    iat,
    exp: iat + 600,
    jti: randomUUID(),
    scope: 'tickets:read tickets:write',
    ...(jkt !== undefined && { cnf: { jkt } }),
    org: `org_${'0'.repeat(26)}`,
    rev: 41,
    links: ['Zm9vYmFy', 'YmFyYmF6', 'cXV4cXV1', 'cHVycGxl', 'dmlvbGV0'],
    sub_profile: 'ai_agent',
  };
  return compact({ typ: 'at+jwt', alg: 'ES256', kid: signer.thumbprint }, claims, signer.privateKey);
}

function guardFor(signer: KeyPair, bearer: boolean): Guard {
  const documents: Record<string, unknown> = {
    '/.well-known/oauth-authorization-server': { issuer, jwks_uri: `${issuer}/oauth2/jwks` },
    '/oauth2/jwks': { keys: [signer.publicJwk] },
  };
  return createGuard({
    issuer,
    resource,
    operations,
    token: { dangerouslyBearer: bearer },
    mode: 'offline',
    fetch: async (input) => Response.json(documents[new URL(String(input)).pathname]),
  });
}

/** A string of its own, as every request brings one: flat, and with a hash that nobody has computed yet. */
function asReceived(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

function bearerRequest(holder: Holder): GuardRequest {
  return { method: 'GET', url: '/api/tickets/42', headers: { authorization: [asReceived(`Bearer ${holder.token}`)] } };
}

function dpopRequest({ key, token: held }: Holder, number: number): GuardRequest {
  const { kty, crv, x, y } = key.publicJwk;
  const claims = {
    jti: randomUUID(),
    htm: 'GET',
    htu: `${resource}/tickets/${number}`,
    iat: Math.floor(Date.now() / 1000),
    ath: createHash('sha256').update(held).digest('base64url'),
  };
  const proof = compact({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } }, claims, key.privateKey);
  return {
    method: 'GET',
    url: `/api/tickets/${number}?verbose=1`,
    headers: { authorization: [asReceived(`DPoP ${held}`)], dpop: [asReceived(proof)] },
  };
}

/** CPU microseconds of each, whatever thread they are spent on. */
async function cost(count: number, work: () => Promise<void> | void): Promise<number> {
  const before = ownCpu();
  await work();
  return (ownCpu() - before) / count;
}

async function decideAll(guard: Guard, requests: readonly GuardRequest[]): Promise<void> {
  for (const request of requests) {
    const decision = await guard.decide(request);
    if (!decision.allowed) throw new Error(`refused: ${JSON.stringify(decision)}`);
  }
}

async function measure({ rounds, count }: { rounds: number; count: number }): Promise<GuardFigures> {
  const signer = await keyPair();
  const [bearerGuard, dpopGuard] = [guardFor(signer, true), guardFor(signer, false)];
  const bearer: Holder = { key: signer, token: token(signer, undefined) };
  const holders = await Promise.all(
    Array.from({ length: agentCount }, async () => {
      const key = await keyPair();
      return { key, token: token(signer, key.thumbprint) };
    }),
  );
  const publicKeys = holders.map(({ key }) => createPublicKey(key.privateKey));
  const localKey = await importJWK(signer.publicJwk, 'ES256');
  const options = { issuer, audience: resource, typ: 'at+jwt', algorithms: ['ES256'] };

  const series = {
    bearerWarm: () => {
      const requests = Array.from({ length: count }, () => bearerRequest(bearer));
      return cost(count, () => decideAll(bearerGuard, requests));
    },
    joseVerify: () =>
      cost(count, async () => {
        for (let index = 0; index < count; index++) await jwtVerify(bearer.token, localKey, options);
      }),
    dpopWarm: () => {
      const requests = Array.from({ length: count }, (_, n) => dpopRequest(holders[n % agentCount] as Holder, n));
      return cost(count, () => decideAll(dpopGuard, requests));
    },
    es256Verify: () => {
      const proofs = Array.from({ length: count }, (_, n) => split(dpopRequest(holders[n % agentCount] as Holder, n)));
      return cost(count, () => {
        for (const [index, { input, signature }] of proofs.entries()) {
          const key = publicKeys[index % agentCount] as KeyObject;
          if (!verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, signature)) throw new Error('not verified');
        }
      });
    },
  } satisfies Record<keyof GuardFigures, () => Promise<number>>;

  const names = Object.keys(series) as (keyof GuardFigures)[];
  const figures: GuardFigures = { bearerWarm: [], joseVerify: [], dpopWarm: [], es256Verify: [] };
  for (const name of names) await series[name](); // warm-up: tokens get known, code gets compiled
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) figures[name].push(await series[name]());
  }
  for (const guard of [bearerGuard, dpopGuard]) guard.close();
  return figures;
}

function split({ headers }: GuardRequest): { input: Buffer; signature: Buffer } {
  const proof = headers.dpop?.[0] as string;
  const end = proof.lastIndexOf('.');
  return { input: Buffer.from(proof.slice(0, end)), signature: Buffer.from(proof.slice(end + 1), 'base64url') };
}

serveCalls({ guard: measure });
