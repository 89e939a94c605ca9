/**
 * What a drill asks, in one table: a kind that comes later is one row. Each row says what there is to ask; each thing that can be asked
 * accepts before the revocation, or is left out with the reason, and is asked again until it refuses.
 */
import { inflateSync } from 'node:zlib';
import { parseCompact } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { FetchError } from '../lib/safe-fetch.ts';
import type { Stream } from '../ssf/stream.ts';
import { findStream, hearingStreams } from '../ssf/stream-store.ts';
import {
  type Client,
  callWith,
  clientOf,
  enrol,
  introspect,
  proofBy,
  type Running,
  renew,
  requestToken,
} from './calls.ts';
import type { Canary } from './canary.ts';
import { pingScope } from './canary.ts';
import { askSelf, type SelfAnswer } from './self.ts';

/** What the canary has, each only as far as it was given. */
export interface Scene {
  deps: Deps;
  canary: Canary;
  client: Client;
  guard: Client;
  /** Tokens by the identifier of their resource. */
  tokens: Map<string, string>;
  instance: Running | undefined;
  /** A token of a task, and the task. */
  task: { id: string; token: string } | undefined;
  /** To whom security signals of everything in the organization are pushed. */
  streams: Stream[];
}

/** Something that accepts the canary now, and must refuse it soon. */
export interface Asked {
  /** What exactly, where a row asks several: a resource. */
  what?: string;
  /** What it is called when it doesn't accept any more: a refusal, unless something else is said. */
  outcome?: 'refused' | 'acknowledged';
  /** Whether it still accepts. @throws Error with a sentence when it can't be asked */
  accepts(): Promise<boolean>;
}

interface Probe {
  /** In words, as a table shows it. */
  title: string;
  /** Nothing where there is nothing to ask. */
  asks(scene: Scene): Asked[];
}

/** @throws Error for what is neither yes nor no */
function unless401({ status }: SelfAnswer): boolean {
  if (status >= 500) throw new Error(`it answered ${status}`);
  return status !== 401;
}

const one = (accepts: Asked['accepts']): Asked[] => [{ accepts }];

export const probes = {
  admin_api: {
    title: 'our admin API',
    asks: ({ deps, client, tokens }) => {
      const token = tokens.get(`${deps.config.issuer}/admin`);
      const request = { method: 'GET', path: '/admin/v1/keys' };
      return token === undefined ? [] : one(async () => unless401(await callWith(deps, client, token, request)));
    },
  },
  service_api: {
    title: 'our API for agents',
    asks: ({ deps, client, tokens }) => {
      const token = tokens.get(deps.config.issuer);
      const request = { method: 'GET', path: '/tasks/none' };
      return token === undefined ? [] : one(async () => unless401(await callWith(deps, client, token, request)));
    },
  },
  introspection: {
    title: 'introspection',
    asks: ({ deps, guard, canary, tokens }) => {
      const token = tokens.get(canary.resource.identifier);
      if (token === undefined) return [];
      return one(async () => activeIn(JSON.parse((await introspect(deps, guard, token)).body)));
    },
  },
  signed_introspection: {
    title: 'introspection, signed',
    asks: ({ deps, guard, canary, tokens }) => {
      const token = tokens.get(canary.resource.identifier);
      if (token === undefined) return [];
      return one(async () => {
        const answer = await introspect(deps, guard, token, 'application/token-introspection+jwt');
        const { payload } = parseCompact(answer.body);
        return activeIn(payload.token_introspection as { active?: boolean });
      });
    },
  },
  token_request: {
    title: 'a request for another token',
    asks: ({ deps, client, canary }) =>
      one(async () => {
        const wanted = { resource: canary.resource.identifier, scope: pingScope };
        const { status } = await requestToken(deps, client, wanted);
        if (status >= 500) throw new Error(`it answered ${status}`);
        return status === 200;
      }),
  },
  instance_renewal: {
    title: 'more time for an instance',
    asks: ({ deps, instance }) =>
      instance === undefined ? [] : one(async () => unlessRefused(await renew(deps, instance))),
  },
  task: {
    title: 'a token of a task',
    asks: ({ deps, guard, task }) =>
      task === undefined ? [] : one(async () => activeIn(JSON.parse((await introspect(deps, guard, task.token)).body))),
  },
  status_list: {
    title: 'the status list',
    asks: ({ deps, canary, tokens }) => {
      const token = tokens.get(canary.resource.identifier);
      return token === undefined ? [] : one(() => validInList(deps, token));
    },
  },
  resource: {
    title: 'a request to the resource',
    asks: ({ deps, client, canary, tokens }) =>
      canary.guarded.flatMap(({ resource: { identifier, name } }) => {
        const token = tokens.get(identifier);
        return token === undefined
          ? []
          : [{ what: name, accepts: () => acceptedThere(deps, client, identifier, token) }];
      }),
  },
  signals: {
    title: 'a receiver of security signals',
    asks: ({ deps, streams }) =>
      streams.map(({ id, description, deliveredAt }) => ({
        what: description ?? id,
        outcome: 'acknowledged' as const,
        accepts: async () => (await findStream(deps.db, id))?.deliveredAt === deliveredAt,
      })),
  },
} as const satisfies Record<string, Probe>;

export type ProbeName = keyof typeof probes;

/** The rows, in order. */
export const probeRows = Object.entries(probes) as [ProbeName, Probe][];

function activeIn({ active }: { active?: boolean }): boolean {
  if (typeof active !== 'boolean') throw new Error('it did not say');
  return active;
}

function unlessRefused({ status }: SelfAnswer): boolean {
  if (status >= 500) throw new Error(`it answered ${status}`);
  return status < 400;
}

/** Reads the list as a verifier does. @see draft-ietf-oauth-status-list §8.3 */
async function validInList(deps: Deps, token: string): Promise<boolean> {
  const { status } = parseCompact(token).payload as { status?: { status_list: { idx: number; uri: string } } };
  if (!status) throw new Error('the token names no list');
  const { idx, uri } = status.status_list;
  const answer = await askSelf(deps, { method: 'GET', url: uri, headers: { 'accept-encoding': 'identity' } });
  if (answer.status !== 200) throw new Error(`it answered ${answer.status}`);
  const { status_list } = parseCompact(answer.body).payload as { status_list: { lst: string } };
  const bits = inflateSync(Buffer.from(status_list.lst, 'base64url'));
  return (((bits[idx >> 3] as number) >> (idx & 7)) & 1) === 0;
}

/** Where no operation is, so that nothing is done there: whoever accepts the token says that the operation is unknown, or forbidden. */
const nowhere = 'bailiwick-drill';
const resourceSeconds = 2;

/** A real request with the canary's token. */
async function acceptedThere(deps: Deps, client: Client, identifier: string, token: string): Promise<boolean> {
  const url = `${identifier.replace(/\/$/, '')}/${nowhere}`;
  const dpop = await proofBy(deps, client.signer, { htm: 'GET', htu: url, accessToken: token });
  try {
    const { status } = await deps.fetch(url, {
      types: ['*/*'],
      maxBytes: 65_536,
      anyStatus: true,
      headers: { authorization: `DPoP ${token}`, dpop },
      timeoutSeconds: resourceSeconds,
    });
    if (status >= 500) throw new Error(`it answered ${status}`);
    return status !== 401;
  } catch (error) {
    if (error instanceof FetchError) throw new Error(`it can not be reached from here: ${error.message}`);
    throw error;
  }
}

/** Gives the canary everything that can be taken away from it. */
export async function setScene(deps: Deps, canary: Canary): Promise<Scene> {
  const client = clientOf(canary.key);
  const { issuer } = deps.config;
  const tokens = new Map<string, string>();
  const wanted: [string, string][] = [
    [canary.resource.identifier, pingScope],
    [`${issuer}/admin`, 'keys:read'],
    [issuer, 'tasks:open'],
    ...canary.guarded.map(({ resource, scope }): [string, string] => [resource.identifier, scope]),
  ];
  for (const [resource, scope] of wanted) {
    const token = tokenIn(await requestToken(deps, client, { resource, scope }));
    if (token !== undefined) tokens.set(resource, token);
  }
  const scene = { deps, canary, client, guard: clientOf(canary.guard), tokens };
  const streams = (await hearingStreams(deps.db, canary.resource.org)).filter(
    ({ method, status, defaultSubjects }) => method === 'push' && status === 'enabled' && defaultSubjects === 'ALL',
  );
  return { ...scene, instance: await enrol(deps, client), task: await openedTask(scene), streams };
}

async function openedTask({
  deps,
  canary,
  client,
  tokens,
}: Omit<Scene, 'instance' | 'task' | 'streams'>): Promise<Scene['task']> {
  const token = tokens.get(deps.config.issuer);
  if (token === undefined) return undefined;
  const body = { agent: canary.agent, workflow: 'drill', lifetime_seconds: 300 };
  const opened = await callWith(deps, client, token, { method: 'POST', path: '/tasks', body });
  if (opened.status !== 201) return undefined;
  const { id } = JSON.parse(opened.body) as { id: string };
  const wanted = { resource: canary.resource.identifier, scope: pingScope, task: id };
  const given = tokenIn(await requestToken(deps, client, wanted));
  return given === undefined ? undefined : { id, token: given };
}

const tokenIn = ({ status, body }: SelfAnswer): string | undefined =>
  status === 200 ? (JSON.parse(body) as { access_token: string }).access_token : undefined;
