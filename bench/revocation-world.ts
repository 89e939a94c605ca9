// A server, guards in threads and who calls the APIs behind them: what both benches of revocation are run in.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { createAgent } from '@bailiwick/agent';
import type { Child, RevocationTarget } from './child.ts';
import { assertion, keyPair } from './load.ts';
import type { WorkerInput } from './revocation-worker.ts';

export interface RevocationOptions {
  guards: number;
  /** Of them, in the second run. */
  hanging: number;
  /** In each run, after some that warm everything up: a guard that has just been compiled is as slow as no guard in life is for long. */
  revocations: number;
  warmup: number;
  /** Between two of them, ms. */
  everyMs: number;
  /** Requests a second, of all guards. */
  perSecond: number;
}

/** As many as run at once: more would only wait for each other. */
const threads = availableParallelism();
/** Tokens that live on to the end. */
const spare = 20;
/** The clock that all threads of a machine share, ms. */
export const instant = () => Number(process.hrtime.bigint()) / 1e6;

/** Somebody with a token. */
export interface Caller {
  jti: string;
  token: string;
  clientId: string;
  /** By which it says who it is. */
  identity: Key;
  key?: Record<string, unknown>;
}

export interface World {
  target: RevocationTarget;
  guards: WorkerInput['guards'];
  callers: Caller[];
}

/** One agent for each token, so that any of them can be revoked without the others. */
export async function setUp(child: Child, options: RevocationOptions): Promise<World> {
  const count = options.warmup + options.revocations + spare;
  const agents = await Promise.all(Array.from({ length: count }, () => keyPair()));
  const guardKeys = Array.from({ length: options.guards }, jwkPair);
  const target = await child.call('startRevocation', {
    agents: agents.map(({ publicJwk }) => publicJwk),
    guards: guardKeys.map(({ open }) => open),
  });
  const callers: Caller[] = [];
  for (const [index, key] of agents.entries()) {
    const clientId = target.clientIds[index] as string;
    // half of them are bound to a key
    callers.push(index % 4 < 2 ? await bearer(target, clientId, key) : await bound(target, clientId, key));
  }
  const guards = guardKeys.map(({ secret }, index) => ({ client_id: target.guardIds[index] as string, jwk: secret }));
  return { target, guards, callers };
}

function jwkPair() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const more = { alg: 'ES256', use: 'sig', kid: randomUUID() };
  return {
    open: { ...publicKey.export({ format: 'jwk' }), ...more },
    secret: { ...privateKey.export({ format: 'jwk' }), ...more },
  };
}

type Key = Awaited<ReturnType<typeof keyPair>>;

export async function bearer({ issuer }: RevocationTarget, clientId: string, key: Key): Promise<Caller> {
  const response = await fetch(`${issuer}/oauth2/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: assertion(key, clientId, issuer),
    }),
  });
  const { access_token: token } = (await response.json()) as { access_token?: string };
  if (token === undefined) throw new Error(`no token: ${response.status}`);
  return { token, clientId, identity: key, jti: jtiOf(token) };
}

async function bound({ issuer, resource }: RevocationTarget, clientId: string, key: Key): Promise<Caller> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = { ...key.privateKey.export({ format: 'jwk' }), alg: 'ES256', kid: key.thumbprint };
  const agent = createAgent({ issuer, resource, clientId, key: jwk as never, proofKey: privateKey });
  const token = (await agent.token()).dangerouslyExposeToken();
  return {
    token,
    clientId,
    identity: key,
    jti: jtiOf(token),
    key: privateKey.export({ format: 'jwk' }) as Record<string, unknown>,
  };
}

const jtiOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString()).jti;

/** Which guards are in which thread: those that hang among themselves, by how they do. */
export function shares(options: RevocationOptions, { target, guards, callers }: World): WorkerInput[] {
  const { hanging, perSecond, everyMs } = options;
  const [blocked, unreachable] = [Math.ceil(hanging / 2), Math.floor(hanging / 2)];
  const well = guards.length - hanging;
  const groups: { size: number; hangs?: 'blocked' | 'unreachable' }[] = [
    ...Array.from({ length: threads }, (_, index) => ({
      size: Math.floor(well / threads) + (index < well % threads ? 1 : 0),
    })),
    { size: blocked, hangs: 'blocked' },
    { size: unreachable, hangs: 'unreachable' },
  ];
  let from = 0;
  return groups
    .filter(({ size }) => size > 0)
    .map(({ size, hangs }) => {
      const own = guards.slice(from, from + size);
      from += size;
      return {
        issuer: target.issuer,
        resource: target.resource,
        guards: own,
        tokens: callers.map(({ token, key }) => ({ token, ...(key && { key }) })),
        perSecond: (perSecond * size) / guards.length,
        everyMs,
        ...(hangs && { hangs }),
      };
    });
}

export function threadOf(workerData: WorkerInput): Worker {
  return new Worker(new URL('revocation-worker.ts', import.meta.url), { workerData });
}

export function next(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (message) => {
      worker.off('error', reject);
      resolve(message);
    });
  });
}

export interface Revoked {
  jti: string;
  orderedAt: number;
  acknowledgedAt: number;
}

/** At its pace, whether or not the ones before have been acknowledged. By turns a token and an agent. */
export async function revokeAll(
  { target, callers }: World,
  options: RevocationOptions,
  start: number,
): Promise<Revoked[]> {
  const { issuer, client_id: clientId, jwk } = target.operator;
  const operator = createAgent({ issuer, resource: `${issuer}/admin`, clientId, key: jwk as never });
  await operator.token();
  return Promise.all(
    callers.slice(0, options.warmup + options.revocations).map(async ({ jti, token, clientId }, index) => {
      const due = start + index * options.everyMs;
      await new Promise((resolve) => setTimeout(resolve, due - instant()));
      const orderedAt = instant();
      const response = await operator.fetch(`${issuer}/admin/v1/revocations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          ...(index % 2 === 0 ? { token } : { subject: clientId }),
          reason: 'a benchmark',
          wait_seconds: 30,
        }),
      });
      const body = (await response.json()) as { acknowledgement?: { complete?: boolean } };
      const acknowledgedAt = instant();
      if (body.acknowledgement?.complete !== true) {
        throw new Error(`not acknowledged: ${response.status} ${JSON.stringify(body)}`);
      }
      return { jti, orderedAt, acknowledgedAt };
    }),
  );
}
