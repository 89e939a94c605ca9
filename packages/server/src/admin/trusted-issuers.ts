/** Whose tokens let agents act for people. */
import { z } from 'zod';
import { keptKeys } from '../federation/issuer-keys.ts';
import {
  findTrustedIssuer,
  insertTrustedIssuer,
  selectTrustedIssuers,
  updateTrustedIssuer,
} from '../federation/issuer-store.ts';
import type { TrustedIssuer } from '../federation/trusted-issuer.ts';
import { newId } from '../lib/ids.ts';
import { fetchKeySet } from '../lib/key-set.ts';
import { FetchError } from '../lib/safe-fetch.ts';
import { narrowSubject, registerSubject, resumeSubject } from '../liveness/liveness.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, invalid } from '../web/problem.ts';
import { line, record } from './fields.ts';
import { checkedAddress, publishedKeys } from './published-keys.ts';
import { within } from './reach.ts';
import { revokedById } from './revoke.ts';
import { type Call, read, write } from './route.ts';
import {
  byId,
  changes,
  checkMatch,
  exampleId,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
  stopBody,
} from './shapes.ts';
import {
  issuerField,
  type ShownIssuer,
  showIssuer,
  shownIssuer,
  writableIssuer,
  writtenRules,
} from './trusted-issuer.ts';

const found = async (call: Call, id: string): Promise<TrustedIssuer> =>
  within(call, 'trusted issuer', id, await findTrustedIssuer(call.q, id));

/** Whoever says whose word is believed, and what it lets agents do, lets agents act for people. */
const mayTrust = ['issuers:write', 'mandates:write'] as const;

type Keys = Pick<TrustedIssuer, 'jwksUri' | 'jwks' | 'jwksAt' | 'jwksUntil' | 'jwksTriedAt' | 'fault'>;

/**
 * The keys that lie there, or why they could not be had: they are asked for again when they are needed.
 * @throws Problem 422 when the server's own rules are against the address
 */
async function keysAt({ deps, now }: Call, jwksUri: string): Promise<Keys> {
  const none = { jwksUri, jwks: undefined, jwksAt: undefined, jwksUntil: undefined, jwksTriedAt: now };
  try {
    const { jwks, until } = keptKeys(await fetchKeySet(deps, jwksUri), now);
    return { ...none, jwks, jwksAt: now, jwksUntil: until, fault: undefined };
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    if (error.code === 'refused') throw invalid('jwks_uri', `can not be fetched from: ${error.message}`);
    return { ...none, fault: error.message };
  }
}

/** @param named by an administrator; else the issuer says it itself */
async function askedKeys(call: Call, issuer: string, named: string | undefined): Promise<Keys> {
  const uri =
    named === undefined
      ? await publishedKeys(call.deps, issuer, ['openid', 'oauth'])
      : checkedAddress('jwks_uri', named);
  return keysAt(call, uri);
}

/** What the log says of it. Which claims are asked for may name people, and is sealed. */
const told = ({ issuer, jwks_uri, accepts, audiences, rules }: ShownIssuer) => ({
  changed: { issuer, jwks_uri, accepts, audiences, rules: rules.map(({ name }) => name) },
  details: { rules },
});

export const trustedIssuerRoutes = [
  read({
    id: 'listTrustedIssuers',
    path: '/trusted-issuers',
    summary: 'List the issuers whose tokens let agents act for people',
    scopes: ['issuers:read'],
    query: listQuery({ issuer: line(512, 1).optional().meta({ description: 'Only the one of this name.' }) }),
    response: pageOfSchema(shownIssuer),
    async handler(call, { query }) {
      const { shown: most, ...page } = pageFilter('trusted_issuer', query);
      const issuers = await selectTrustedIssuers(call.q, { org: call.org.id, issuer: query.issuer, ...page });
      const shown = new Map<string, ShownIssuer>();
      for (const each of issuers) shown.set(each.id, await showIssuer(call, each));
      return pageOf(issuers, most, ({ id }) => shown.get(id) as ShownIssuer);
    },
  }),
  write('POST', {
    id: 'trustIssuer',
    path: '/trusted-issuers',
    summary: 'Let tokens of another issuer be the word of people',
    description:
      'Agents that a rule names exchange its ID tokens or access tokens (RFC 8693) for tokens to act with. It takes `mandates:write`, too.',
    scopes: [...mayTrust],
    status: 201,
    body: record({ issuer: issuerField, ...writableIssuer }),
    example: {
      issuer: 'https://login.example.com',
      audiences: ['assistant-app'],
      rules: [
        {
          name: 'staff',
          claims: { hd: { exact: 'example.com' } },
          agents: [exampleId('agent')],
          resources: [{ resource: 'https://travel.example.com/api', scope: 'trips:book' }],
        },
      ],
    },
    response: shownIssuer,
    async prepare(call, { body }) {
      if (body.issuer === call.deps.config.issuer) {
        throw invalid('issuer', 'is this server itself: its own tokens can be exchanged as they are');
      }
      return askedKeys(call, body.issuer, body.jwks_uri);
    },
    async handler(call, { body }, keys) {
      const { tx, deps, org, now } = call;
      const issuer: TrustedIssuer = {
        id: newId(deps, 'trusted_issuer'),
        org: org.id,
        issuer: body.issuer,
        ...keys,
        algorithms: body.algorithms,
        accepts: body.accepts,
        audiences: body.audiences ?? [deps.config.issuer],
        maxAgeSeconds: body.max_age_seconds,
        rules: await writtenRules(call, body.rules),
        status: 'active',
        createdAt: now,
        updatedAt: now,
      };
      if (!(await insertTrustedIssuer(tx, issuer))) throw conflict('issuer', 'is trusted here already');
      await registerSubject(tx, { id: issuer.id, kind: 'trusted_issuer', parent: org.id, now });
      const shown = await showIssuer(call, issuer);
      const event = { type: 'trusted_issuer.created' as const, org: org.id, target: issuer.id, ...told(shown) };
      return { body: shown, event };
    },
  }),
  read({
    id: 'getTrustedIssuer',
    path: '/trusted-issuers/{id}',
    summary: 'Show a trusted issuer',
    scopes: ['issuers:read'],
    params: byId('trusted_issuer'),
    response: shownIssuer,
    handler: async (call, { params }) => showIssuer(call, await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateTrustedIssuer',
    path: '/trusted-issuers/{id}',
    summary: 'Change how an issuer is trusted',
    description:
      'Every token that came by it ends, whatever was changed: whoever still may gets another for the same token of the issuer.',
    scopes: [...mayTrust],
    params: byId('trusted_issuer'),
    body: patchOf(writableIssuer),
    example: { max_age_seconds: 600 },
    response: shownIssuer,
    async prepare(call, { params, body }) {
      const { issuer } = await found(call, params.id);
      const { jwks_uri: uri } = body as { jwks_uri?: string | null };
      return uri === undefined ? undefined : askedKeys(call, issuer, uri ?? undefined);
    },
    async handler(call, { params, body }, keys) {
      const { tx, deps, now } = call;
      const issuer = await found(call, params.id);
      const before = await showIssuer(call, issuer);
      checkMatch(call, before);
      const { jwks_uri, algorithms, accepts, audiences, max_age_seconds, rules } = before;
      const shown = { jwks_uri, algorithms, accepts, audiences, max_age_seconds, rules };
      const wanted = patchedBy(z.strictObject(writableIssuer), shown, body);
      const after: TrustedIssuer = {
        ...issuer,
        ...keys,
        algorithms: wanted.algorithms,
        accepts: wanted.accepts,
        audiences: wanted.audiences ?? [deps.config.issuer],
        maxAgeSeconds: wanted.max_age_seconds,
        // what isn't changed isn't looked up: an agent of it may be gone
        rules: body.rules === undefined ? issuer.rules : await writtenRules(call, wanted.rules),
        updatedAt: now,
      };
      const shownAfter = await showIssuer(call, after);
      if (Object.keys(changes(before, shownAfter)).length === 0) return { body: before };
      await updateTrustedIssuer(tx, after);
      const reason = 'its issuer is trusted otherwise';
      const rev = await narrowSubject(tx, { id: issuer.id, reason, by: call.caller.agent, now });
      const { changed, details } = told(shownAfter);
      const event = { type: 'trusted_issuer.updated' as const, org: issuer.org, target: issuer.id };
      return { body: shownAfter, event: { ...event, changed: { ...changed, rev }, details } };
    },
  }),
  write('POST', {
    id: 'refreshTrustedIssuer',
    path: '/trusted-issuers/{id}/refresh',
    summary: 'Fetch the keys of a trusted issuer now',
    description:
      'They are fetched by themselves when they are old, or one is unknown. `fault` says why they could not be. Tokens that came by a key that is gone live on: `suspend` and `resume` end them.',
    scopes: ['issuers:write'],
    params: byId('trusted_issuer'),
    response: shownIssuer,
    prepare: async (call, { params }) => keysAt(call, (await found(call, params.id)).jwksUri),
    async handler(call, { params }, { jwksUri, ...keys }) {
      const issuer = await found(call, params.id);
      if (issuer.jwksUri !== jwksUri) throw conflict('jwks_uri', 'was changed meanwhile');
      // what could not be fetched takes nothing away
      const kept = keys.fault === undefined ? keys : { jwksTriedAt: keys.jwksTriedAt, fault: keys.fault };
      const after = { ...issuer, ...kept };
      await updateTrustedIssuer(call.tx, after);
      const changed = { issuer: issuer.issuer, fetched: keys.fault === undefined };
      const event = { type: 'trusted_issuer.refreshed' as const, org: issuer.org, target: issuer.id, changed };
      return { body: await showIssuer(call, after), event };
    },
  }),
  write('POST', {
    id: 'suspendTrustedIssuer',
    path: '/trusted-issuers/{id}/suspend',
    summary: 'Take no tokens of an issuer until it is resumed',
    description: 'Every token that came by it ends at once, for good.',
    scopes: ['issuers:write'],
    params: byId('trusted_issuer'),
    body: stopBody,
    example: { reason: 'they were broken into' },
    response: shownIssuer,
    async handler(call, { params, body }) {
      const issuer = await found(call, params.id);
      const wanted = { effect: 'suspend', reason: body.reason || 'trusted issuer suspended' } as const;
      const event = await revokedById(call, 'trusted_issuer', issuer.id, wanted);
      return { body: await showIssuer(call, { ...issuer, status: 'suspended' }), event };
    },
  }),
  write('POST', {
    id: 'resumeTrustedIssuer',
    path: '/trusted-issuers/{id}/resume',
    summary: 'Take tokens of an issuer again',
    description: 'What came by it before stays dead.',
    scopes: [...mayTrust],
    params: byId('trusted_issuer'),
    response: shownIssuer,
    async handler(call, { params }) {
      const issuer = await found(call, params.id);
      const shown = await showIssuer(call, { ...issuer, status: 'active' });
      if (!(await resumeSubject(call.tx, { id: issuer.id, now: call.now }))) return { body: shown };
      const changed = { issuer: issuer.issuer };
      const event = { type: 'trusted_issuer.resumed' as const, org: issuer.org, target: issuer.id, changed };
      return { body: shown, event };
    },
  }),
  write('POST', {
    id: 'removeTrustedIssuer',
    path: '/trusted-issuers/{id}/remove',
    summary: 'Trust an issuer no more',
    description:
      'Every token that came by it ends at once. Who people are to it stays with them, for the day that it is trusted again.',
    scopes: ['issuers:write'],
    params: byId('trusted_issuer'),
    body: stopBody,
    example: { reason: 'the contract has ended' },
    async handler(call, { params, body }) {
      const { id } = await found(call, params.id);
      const wanted = { effect: 'end', reason: body.reason || 'trusted issuer removed' } as const;
      return { body: undefined, event: await revokedById(call, 'trusted_issuer', id, wanted) };
    },
  }),
] as const;
