import { z } from 'zod';
import { bundleIn } from '../federation/bundles.ts';
import { confirmationOf, difference } from '../federation/refresh.ts';
import {
  confirmBundle,
  deleteTrustDomain,
  findTrustDomain,
  insertTrustDomain,
  noteFault,
  selectTrustDomains,
  updateTrustDomain,
} from '../federation/store.ts';
import type { TrustDomain } from '../federation/trust-domain.ts';
import { newId } from '../lib/ids.ts';
import { endSubject, registerSubject } from '../liveness/liveness.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, invalid, Problem } from '../web/problem.ts';
import { record } from './fields.ts';
import { within } from './reach.ts';
import { type Call, read, type WriteCall, write } from './route.ts';
import { byId, checkMatch, listQuery, pageFilter, pageOfSchema, patchedBy, patchOf, stopBody } from './shapes.ts';
import { asked, fetched, governedUsers, show, shown, trustDomainName, users, writable } from './trust-domain.ts';

const found = async (call: Call, id: string) => within(call, 'trust domain', id, await findTrustDomain(call.q, id));

/** The trust domain in the transaction, unless it has changed since it was read for what was done before. */
async function unchanged(call: WriteCall, id: string, read: TrustDomain): Promise<TrustDomain> {
  const domain = await found(call, id);
  if (domain.updatedAt === read.updatedAt && domain.org === read.org) return domain;
  throw new Problem('precondition-failed', 'it was changed meanwhile: read it again, then change it');
}

const told = ({ name, endpoint: from }: TrustDomain) => ({
  name,
  ...(from && { url: from.url, profile: from.profile, ...(from.spiffeId && { spiffe_id: from.spiffeId }) }),
});

const empty = {
  endpoint: undefined,
  bundle: undefined,
  sequence: undefined,
  confirmedAt: undefined,
  triedAt: undefined,
  dueAt: undefined,
  fault: undefined,
};

export const trustDomainRoutes = [
  read({
    id: 'listTrustDomains',
    path: '/trust-domains',
    summary: 'List foreign trust domains',
    scopes: ['trust_domains:read'],
    query: listQuery({ name: trustDomainName.optional() }),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const page = pageFilter('trust_domain', query);
      const domains = await selectTrustDomains(call.q, { org: call.org.id, name: query.name, ...page });
      return pageOf(domains, page.shown, (domain) => show(call.deps, domain));
    },
  }),
  write('POST', {
    id: 'createTrustDomain',
    path: '/trust-domains',
    summary: 'Register a foreign trust domain',
    description:
      'From then on credentials of the kind `spiffe_id` may name identities of it. Its endpoint is asked at once; if it does not answer, `fault` says why, and it is asked again.',
    scopes: ['trust_domains:write'],
    status: 201,
    body: record({ name: trustDomainName, ...writable }),
    example: {
      name: 'partner.example',
      bundle_endpoint: { url: 'https://id.partner.example/spiffe/bundle', profile: 'https_web' },
    },
    response: shown,
    async prepare(call, { body }) {
      const { deps, org, now } = call;
      if (body.name === deps.config.trust_domain) {
        throw invalid('name', 'is this server’s own trust domain: its identities are accepted as they are');
      }
      const blank = { ...empty, id: newId(deps, 'trust_domain'), org: org.id, name: body.name, createdAt: now };
      return asked(call, { ...blank, updatedAt: now - 1 }, body);
    },
    async handler(call, _, domain) {
      const { tx, deps, org, now } = call;
      await governedUsers(call, domain); // another one may rest on it already
      if (!(await insertTrustDomain(tx, domain))) throw conflict('name', 'is registered here already');
      await registerSubject(tx, { id: domain.id, kind: 'trust_domain', parent: org.id, now });
      const event = { type: 'trust_domain.created' as const, org: org.id, target: domain.id, changed: told(domain) };
      return { body: show(deps, domain), event };
    },
  }),
  read({
    id: 'getTrustDomain',
    path: '/trust-domains/{id}',
    summary: 'Show a foreign trust domain',
    scopes: ['trust_domains:read'],
    params: byId('trust_domain'),
    response: shown,
    handler: async (call, { params }) => show(call.deps, await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateTrustDomain',
    path: '/trust-domains/{id}',
    summary: 'Change where the bundle of a trust domain comes from, or give it by hand',
    description: 'A bundle that is given replaces the one that is known, whatever its sequence number.',
    scopes: ['trust_domains:write'],
    params: byId('trust_domain'),
    body: patchOf(writable),
    example: { bundle_endpoint: { url: 'https://new.partner.example/spiffe/bundle' } },
    response: shown,
    async prepare(call, { params, body }) {
      const domain = await found(call, params.id);
      const { bundle_endpoint } = show(call.deps, domain);
      const { bundle, ...rest } = body as Record<string, unknown>;
      if (bundle === null) throw invalid('bundle', 'can not be taken away: remove the trust domain instead');
      const wanted = patchedBy(z.strictObject(writable), bundle_endpoint ? { bundle_endpoint } : {}, rest);
      const given = bundle as Record<string, unknown> | undefined;
      return { before: domain, after: await asked(call, domain, { ...wanted, bundle: given }) };
    },
    async handler(call, { params }, { before, after }) {
      const { tx, deps } = call;
      const domain = await unchanged(call, params.id, before);
      checkMatch(call, show(deps, domain));
      await governedUsers(call, domain);
      await updateTrustDomain(tx, after);
      const changed = { ...told(after), bundle: after.bundle !== before.bundle };
      return {
        body: show(deps, after),
        event: { type: 'trust_domain.updated', org: domain.org, target: domain.id, changed },
      };
    },
  }),
  write('POST', {
    id: 'refreshTrustDomain',
    path: '/trust-domains/{id}/refresh',
    summary: 'Fetch the bundle of a trust domain now',
    description: 'It is fetched by itself as often as it says. `fault` says why it could not be fetched.',
    scopes: ['trust_domains:write'],
    params: byId('trust_domain'),
    response: shown,
    async prepare(call, { params }) {
      const before = await found(call, params.id);
      const { endpoint } = before;
      if (endpoint === undefined)
        throw conflict('bundle_endpoint', 'is not set: the bundle was given by hand and stays');
      return { before, result: await fetched(call, { ...before, endpoint }) };
    },
    async handler(call, { params }, { before, result }) {
      const { tx, deps } = call;
      const domain = await unchanged(call, params.id, before);
      let changed: Record<string, unknown> = { name: domain.name };
      if ('fault' in result) await noteFault(tx, domain, result.fault);
      else {
        await confirmBundle(tx, domain, confirmationOf(deps, result));
        changed = { ...changed, ...difference(bundleIn(before), result.bundle) };
      }
      const event = { type: 'trust_domain.refreshed' as const, org: domain.org, target: domain.id, changed };
      return { body: show(deps, await found(call, params.id)), event };
    },
  }),
  write('POST', {
    id: 'removeTrustDomain',
    path: '/trust-domains/{id}/remove',
    summary: 'Trust a foreign domain no more',
    description: 'Ends the credentials that name identities of it, and with them their tokens and instances, at once.',
    scopes: ['trust_domains:write'],
    params: byId('trust_domain'),
    body: stopBody,
    example: { reason: 'the contract has ended' },
    async handler(call, { params, body }) {
      const { tx, now, caller } = call;
      const domain = await found(call, params.id);
      await governedUsers(call, domain);
      const reason = body.reason || 'trust domain removed';
      const resting = await users(call, domain);
      // none of them is the last way in: that is always a key
      for (const { id } of resting) await endSubject(tx, { id, reason, by: caller.agent, now });
      await endSubject(tx, { id: domain.id, reason, by: caller.agent, now });
      await deleteTrustDomain(tx, domain.id);
      const changed = { ...told(domain), credentials: resting.map(({ id }) => id) };
      return {
        body: undefined,
        event: { type: 'trust_domain.removed', org: domain.org, target: domain.id, changed, details: { reason } },
      };
    },
  }),
] as const;
