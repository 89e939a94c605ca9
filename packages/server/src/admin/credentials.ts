/** Credentials: added, shown, changed, replaced, removed. */
import { z } from 'zod';
import type { Credential } from '../credentials/credential.ts';
import { credentialKinds, standings } from '../credentials/credential.ts';
import { selectCredentials, updateCredential } from '../credentials/store.ts';
import { longestTokenMs } from '../keys/schedule.ts';
import { endSubject, narrowSubject, setSubjectEnd } from '../liveness/liveness.ts';
import { pageOf } from '../web/paging.ts';
import { conflict } from '../web/problem.ts';
import {
  addBody,
  foundCredential,
  madeCredential,
  rotateBody,
  showCredential,
  shownCredential,
  writableCredential,
} from './credential.ts';
import { idOf, line, oneOf, time } from './fields.ts';
import { type Added, addCredential, endOf } from './new-credential.ts';
import { governedAgent, keepingAnOperator } from './reach.ts';
import { revokedById } from './revoke.ts';
import { read, type WriteCall, write } from './route.ts';
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
} from './shapes.ts';

const exampleJwk = {
  kty: 'EC',
  crv: 'P-256',
  x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
  y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
};

/** What the leaf of an event says of a new credential, and what is sealed beside it, since it may name somebody. */
function recorded({ credential }: Added) {
  const { agent, kind, thumbprint } = credential;
  switch (credential.kind) {
    // the kid is any text that the sender chose, which the leaf would keep for ever: the thumbprint says which key
    case 'public_key':
      return { changed: { agent, kind, thumbprint, alg: credential.alg } };
    case 'certificate':
      return { changed: { agent, kind, thumbprint }, details: { subject: credential.detail.subject } };
    // the hash of a name is as good as the name: it isn't in the leaf either
    case 'certificate_subject': {
      const { field, value } = credential.detail;
      return { changed: { agent, kind, field }, details: { value } };
    }
    case 'spiffe_id':
      return { changed: { agent, kind }, details: { ...credential.detail } };
    default:
      return { changed: { agent, kind, thumbprint }, details: { ...credential.detail } };
  }
}

const made = (call: WriteCall, { credential, secret }: Added) => ({
  body: showCredential(call, credential),
  ...(secret !== undefined && { secret }),
});

/** Moves the end of a credential, and says nothing of the tokens that were got with it. */
async function moveEnd(call: WriteCall, credential: Credential, expiresAt: number | undefined): Promise<void> {
  const { tx, now } = call;
  await updateCredential(tx, { id: credential.id, label: credential.label, expiresAt });
  if (credential.kind === 'enrolment_token') return; // nothing rests on when it ends
  if (expiresAt !== credential.expiresAt) await setSubjectEnd(tx, { id: credential.id, endsAt: expiresAt, now });
}

/** Ends the tokens that were got with a credential: they were to live as long as it. */
const endTokens = ({ tx, now, caller }: WriteCall, id: string) =>
  narrowSubject(tx, { id, reason: 'ends earlier', by: caller.agent, now });

/** Ends a credential after an overlap. Where every token that was got with it is dead by then, none is ended now. */
async function endSoon(call: WriteCall, old: Credential, endsAt: number): Promise<void> {
  const { tx, now, caller } = call;
  if (endsAt <= now) {
    await endSubject(tx, { id: old.id, reason: 'credential replaced', by: caller.agent, now });
    return;
  }
  await moveEnd(call, old, endsAt);
  if (endsAt < now + longestTokenMs && endsAt !== old.expiresAt) await endTokens(call, old.id);
}

export const credentialRoutes = [
  read({
    id: 'listCredentials',
    path: '/credentials',
    summary: 'List credentials',
    scopes: ['credentials:read'],
    query: listQuery({
      agent: idOf('agent').optional(),
      kind: oneOf(credentialKinds).optional(),
      kid: line(256, 1).optional(),
      status: oneOf(standings).optional(),
      stale_since: time
        .optional()
        .meta({ description: 'Only those that were surely neither made nor used since then.' }),
      expiring_before: time.optional().meta({ description: 'Only those that end by themselves before then.' }),
    }),
    response: pageOfSchema(shownCredential),
    async handler(call, { query }) {
      const page = pageFilter('credential', query);
      const { agent, kid, kind, status, stale_since, expiring_before } = query;
      const credentials = await selectCredentials(call.q, {
        org: call.org.id,
        agent,
        kid,
        kind,
        standing: status,
        staleSince: stale_since === undefined ? undefined : Date.parse(stale_since),
        expiringBefore: expiring_before === undefined ? undefined : Date.parse(expiring_before),
        now: call.now,
        ...page,
      });
      return pageOf(credentials, page.shown, (one) => showCredential(call, one));
    },
  }),
  write('POST', {
    id: 'addCredential',
    path: '/credentials',
    summary: 'Add a credential to an agent',
    description:
      'A public key unless `kind` says otherwise. A secret or an enrolment token is made here and shown in this answer alone.',
    scopes: ['credentials:write'],
    status: 201,
    body: addBody,
    example: { agent: exampleId('agent'), jwk: exampleJwk, label: 'container image of September' },
    response: madeCredential,
    async handler(call, { body }) {
      const agent = await governedAgent(call, body.agent, 'agent');
      const added = await addCredential(call, agent, body);
      return {
        ...made(call, added),
        event: {
          type: 'credential.created',
          org: agent.org,
          target: added.credential.id,
          ...recorded(added),
          unremembered: body.kind === 'enrolment_token', // one for each copy that starts
        },
      };
    },
  }),
  write('POST', {
    id: 'rotateCredential',
    path: '/credentials/{id}/rotate',
    summary: 'Replace a credential: add another, and let the old one end a little later',
    description:
      'Both work until the old one’s end. The new one may be of another kind: a key in place of a secret, say. ' +
      'With an overlap of less than 15 minutes, the tokens that were got with the old one end at once.',
    scopes: ['credentials:write'],
    status: 201,
    params: byId('credential'),
    body: rotateBody,
    example: { jwk: exampleJwk, overlap_seconds: 3600 },
    response: madeCredential,
    async handler(call, { params, body }) {
      const { now } = call;
      const old = await foundCredential(call, params.id);
      const agent = await governedAgent(call, old.agent);
      const { status } = showCredential(call, old);
      if (status !== 'active' && status !== 'suspended') {
        throw conflict('id', 'works no more, so there is nothing to overlap with: add another one');
      }
      const { overlap_seconds, ...wanted } = body;
      const endsAt = Math.min(now + overlap_seconds * 1000, old.expiresAt ?? Number.POSITIVE_INFINITY);
      const added = await keepingAnOperator(call, agent.id, async () => {
        const one = await addCredential(call, agent, wanted);
        await endSoon(call, old, endsAt);
        return one;
      });
      const { changed, details } = recorded(added);
      return {
        ...made(call, added),
        event: {
          type: 'credential.rotated',
          org: agent.org,
          target: old.id,
          changed: { ...changed, replaced_by: added.credential.id, ends_in_seconds: Math.round((endsAt - now) / 1000) },
          details,
        },
      };
    },
  }),
  read({
    id: 'getCredential',
    path: '/credentials/{id}',
    summary: 'Show a credential',
    scopes: ['credentials:read'],
    params: byId('credential'),
    response: shownCredential,
    handler: async (call, { params }) => showCredential(call, await foundCredential(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateCredential',
    path: '/credentials/{id}',
    summary: 'Change a credential',
    scopes: ['credentials:write'],
    params: byId('credential'),
    body: patchOf(writableCredential),
    example: { label: 'laptop', expires_at: '2030-01-31T12:00:00Z' },
    response: shownCredential,
    async handler(call, { params, body }) {
      const credential = await foundCredential(call, params.id);
      if (credential.status === 'removed') throw conflict('id', 'has ended for good');
      if (credential.usedAt !== undefined) throw conflict('id', 'was used, and works once');
      await governedAgent(call, credential.agent);
      const before = showCredential(call, credential);
      checkMatch(call, before);
      const { label, expires_at } = before;
      const wanted = patchedBy(z.strictObject(writableCredential), { label, ...(expires_at && { expires_at }) }, body);
      const named = wanted.expires_at === undefined ? undefined : Date.parse(wanted.expires_at);
      const expiresAt = named === credential.expiresAt ? named : endOf(call, credential, named);
      const changedTo = { ...credential, label: wanted.label, expiresAt };
      const after = showCredential(call, changedTo);
      const changed = changes(before, after);
      if (Object.keys(changed).length === 0) return { body: before };
      const earlier = (expiresAt ?? Number.POSITIVE_INFINITY) < (credential.expiresAt ?? Number.POSITIVE_INFINITY);
      const change = () => moveEnd(call, { ...credential, label: wanted.label }, expiresAt);
      if (earlier) {
        await keepingAnOperator(call, credential.agent, change);
        await endTokens(call, credential.id);
      } else await change();
      const { label: relabelled, ...open } = changed as { label?: string }; // where a key lives may name who carries it
      return {
        body: after,
        event: {
          type: 'credential.updated',
          org: credential.org,
          target: credential.id,
          changed: open,
          ...(relabelled !== undefined && { details: { label: relabelled } }),
        },
      };
    },
  }),
  write('DELETE', {
    id: 'removeCredential',
    path: '/credentials/{id}',
    summary: 'Remove a credential for good',
    description: 'Tokens that were got with it end at once, and so do the instances that were enrolled with it.',
    scopes: ['credentials:write'],
    params: byId('credential'),
    async handler(call, { params }) {
      const { id } = await foundCredential(call, params.id);
      const wanted = { effect: 'end' as const, reason: 'credential removed' };
      return { body: undefined, event: await revokedById(call, 'credential', id, wanted) };
    },
  }),
] as const;
