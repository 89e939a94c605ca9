/**
 * What a drill asks, in one table: a kind that comes later is one row. Each row says what there is to ask; each thing that can be asked
 * accepts before the revocation, or is left out with the reason, and is asked again until it refuses.
 */
import { inflateSync } from 'node:zlib';
import { parseCompact } from '@bailiwick/protocol';
import type { Deps } from '../deps.ts';
import { FetchError } from '../lib/safe-fetch.ts';
import { caep } from '../ssf/events.ts';
import type { Stream } from '../ssf/stream.ts';
import { findStream, hearingStreams } from '../ssf/stream-store.ts';
import { type Client, callWith, type Given, introspect, proofBy, type Running, renew, requestToken } from './calls.ts';
import type { Canary } from './canary.ts';
import { pingScope } from './canary.ts';
import { askSelf, type SelfAnswer } from './self.ts';

/** What the canary has, or in a sentence why it was not given that. */
export interface Scene {
  deps: Deps;
  canary: Canary;
  client: Client;
  guard: Client;
  /** Tokens by the identifier of their resource. */
  tokens: Map<string, Given<string>>;
  instance: Given<Running>;
  /** A token of a task. */
  task: Given<string>;
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
  /** It is our own: a drill on the canary that could not ask it has shown nothing. */
  ours?: true;
  /** Nothing where there is nothing to ask. */
  asks(scene: Scene): Asked[];
}

/** @throws Error for what is neither yes nor no */
function unless401({ status }: SelfAnswer): boolean {
  if (status >= 500) throw new Error(`it answered ${status}`);
  return status !== 401;
}

const one = (accepts: Asked['accepts']): Asked[] => [{ accepts }];

/** Asks by what was given; what was refused can't be asked, and the row says why. */
const by =
  <Thing>(given: Given<Thing> | undefined, accepts: (thing: Thing) => Promise<boolean>) =>
  async () => {
    if (given === undefined) throw new Error('the canary has nothing to ask with');
    if ('why' in given) throw new Error(given.why);
    return accepts(given.thing);
  };

/** One that is there and can't be asked. */
export const cannot = (why: string) => () => Promise.reject(new Error(why));

export const probes = {
  admin_api: {
    title: 'our admin API',
    ours: true,
    asks: ({ deps, client, tokens }) => {
      const request = { method: 'GET', path: '/admin/v1/keys' };
      const token = tokens.get(`${deps.config.issuer}/admin`);
      return one(by(token, async (it) => unless401(await callWith(deps, client, it, request))));
    },
  },
  service_api: {
    title: 'our API for agents',
    ours: true,
    asks: ({ deps, client, tokens }) => {
      const request = { method: 'GET', path: '/tasks/none' };
      const token = tokens.get(deps.config.issuer);
      return one(by(token, async (it) => unless401(await callWith(deps, client, it, request))));
    },
  },
  listeners: {
    title: 'our ports, over the network',
    asks: () =>
      one(cannot('a drill asks from within the server: proxies before it, and mutual TLS, are not on its way')),
  },
  introspection: {
    title: 'introspection',
    ours: true,
    asks: ({ deps, guard, canary, tokens }) =>
      one(
        by(tokens.get(canary.resource.identifier), async (token) =>
          activeIn(JSON.parse((await introspect(deps, guard, token)).body)),
        ),
      ),
  },
  signed_introspection: {
    title: 'introspection, signed',
    ours: true,
    asks: ({ deps, guard, canary, tokens }) =>
      one(
        by(tokens.get(canary.resource.identifier), async (token) => {
          const answer = await introspect(deps, guard, token, 'application/token-introspection+jwt');
          const { payload } = parseCompact(answer.body);
          return activeIn(payload.token_introspection as { active?: boolean });
        }),
      ),
  },
  token_request: {
    title: 'a request for another token',
    ours: true,
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
    ours: true,
    asks: ({ deps, instance }) => one(by(instance, async (it) => unlessRefused(await renew(deps, it)))),
  },
  task: {
    title: 'a token of a task',
    ours: true,
    asks: ({ deps, guard, task }) =>
      one(by(task, async (token) => activeIn(JSON.parse((await introspect(deps, guard, token)).body)))),
  },
  status_list: {
    title: 'the status list',
    ours: true,
    asks: ({ deps, canary, tokens }) =>
      one(by(tokens.get(canary.resource.identifier), (token) => validInList(deps, placeIn(token)))),
  },
  resource: {
    title: 'a request to the resource',
    asks: ({ deps, client, canary, tokens }) =>
      canary.guarded.map(({ resource: { identifier, name } }) => ({
        what: name,
        accepts: by(tokens.get(identifier), (token) => acceptedThere(deps, client, identifier, token)),
      })),
  },
  signals: {
    title: 'a receiver of security signals',
    asks: ({ deps, streams }) => streamsAsked(deps, streams),
  },
} as const satisfies Record<string, Probe>;

export type ProbeName = keyof typeof probes;

/** The rows, in order. */
export const probeRows = Object.entries(probes) as [ProbeName, Probe][];

/** Without which a drill on the canary shows nothing. */
export const neededProbes = probeRows.flatMap(([name, { ours }]) => (ours ? [name] : []));

/** What a suspended agent is to receivers. @see CAEP §3.1 */
const endOfSession = `${caep}session-revoked`;

/** Receivers of everything in an organization: each hears of it once more has been delivered than before. */
export const streamsAsked = (deps: Deps, streams: readonly Stream[]): Asked[] =>
  streams.map(({ id, method, status, eventsRequested }) => ({
    what: id, // what a receiver says of itself is no text for a leaf
    outcome: 'acknowledged' as const,
    accepts:
      method !== 'push'
        ? cannot('it fetches its news itself, whenever it likes')
        : status !== 'enabled'
          ? cannot(`its stream is ${status}`)
          : eventsRequested && !eventsRequested.includes(endOfSession)
            ? cannot('it did not ask to hear of ended sessions')
            : nothingDeliveredSince(deps, id),
  }));

/** Counted from when it is asked first: what was to be told before may have been on its way until then. */
function nothingDeliveredSince({ db }: Deps, id: string): () => Promise<boolean> {
  let before: { deliveredAt: number | undefined } | undefined;
  return async () => {
    const deliveredAt = (await findStream(db, id))?.deliveredAt;
    before ??= { deliveredAt };
    return deliveredAt === before.deliveredAt;
  };
}

/** Streams that tell of everybody in an organization: of those for named subjects nobody can say what they should hear. */
export async function streamsOf(deps: Deps, org: string): Promise<Stream[]> {
  return (await hearingStreams(deps.db, org)).filter(({ defaultSubjects }) => defaultSubjects === 'ALL');
}

function activeIn({ active }: { active?: boolean }): boolean {
  if (typeof active !== 'boolean') throw new Error('it did not say');
  return active;
}

function unlessRefused({ status }: SelfAnswer): boolean {
  if (status >= 500) throw new Error(`it answered ${status}`);
  return status < 400;
}

function placeIn(token: string): { idx: number; uri: string } {
  const { status } = parseCompact(token).payload as { status?: { status_list: { idx: number; uri: string } } };
  if (!status) throw new Error('the token names no list');
  return status.status_list;
}

/** Reads the list as a verifier does. @see draft-ietf-oauth-status-list §8.3 */
export async function validInList(deps: Deps, { idx, uri }: { idx: number; uri: string }): Promise<boolean> {
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
  if (identifier.startsWith('http:'))
    throw new Error('it is plain http, and a drill asks by https alone: the line of its guard says when that knew');
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
