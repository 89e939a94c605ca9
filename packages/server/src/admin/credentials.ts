import { type ImportedPublicKey, importPublicJwk, ProtocolError, thumbprint } from '@bailiwick/protocol';
import { z } from 'zod';
import { type Credential, credentialKinds, type PublicKeyCredential } from '../credentials/credential.ts';
import {
  findCredential,
  insertCredential,
  liveCredentials,
  selectCredentials,
  updateCredential,
} from '../credentials/store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { endSubject, narrowSubject, registerSubject, setSubjectEnd } from '../liveness/liveness.ts';
import { pageOf } from '../web/paging.ts';
import { conflict, invalid } from '../web/problem.ts';
import { idOf, line, oneOf, record, shownTime, time } from './fields.ts';
import { governedAgent, keepingAnOperator, within } from './reach.ts';
import { type Call, read, type WriteCall, write } from './route.ts';
import {
  byId,
  changes,
  checkMatch,
  common,
  exampleId,
  listQuery,
  pageFilter,
  pageOfSchema,
  patchedBy,
  patchOf,
} from './shapes.ts';

/** More than enough for any rotation; every one of them is a way in. */
const liveAtMost = 20;

const writable = {
  label: line(200).default('').meta({ description: 'Where the private half lives, say.' }),
  expires_at: time.optional(),
};

export const jwkBody = z
  .record(z.string().max(32), z.union([z.string().max(1400), z.array(z.string().max(32)).max(16)]), {
    error: 'must be a public key as a JWK: EC P-256, OKP Ed25519, or RSA with its alg',
  })
  .meta({
    description: 'The public half, as a JWK (RFC 7517). The private half stays where it was made.',
    examples: [{ kty: 'EC', crv: 'P-256', x: '…', y: '…' }],
  });

const shown = z.strictObject({
  ...common('credential'),
  agent: idOf('agent'),
  kind: oneOf(credentialKinds),
  kid: z.string().optional().meta({ description: 'What assertions call the key.' }),
  thumbprint: z.string().meta({ description: 'RFC 7638.' }),
  alg: oneOf(['ES256', 'EdDSA', 'PS256', 'RS256']).optional(),
  jwk: z.record(z.string(), z.unknown()).optional(),
  label: z.string(),
  status: oneOf(['active', 'removed']),
  expires_at: shownTime.optional(),
  last_used_at: shownTime.optional().meta({ description: 'To the hour.' }),
});

const show = (credential: Credential): z.output<typeof shown> => ({
  id: credential.id,
  organization: credential.org,
  agent: credential.agent,
  kind: credential.kind,
  thumbprint: credential.thumbprint,
  ...(credential.kind === 'public_key' && {
    kid: credential.kid,
    alg: credential.alg,
    jwk: { ...credential.jwk },
  }),
  label: credential.label,
  status: credential.status,
  created_at: rfc3339(credential.createdAt),
  ...(credential.expiresAt !== undefined && { expires_at: rfc3339(credential.expiresAt) }),
  ...(credential.lastUsedAt !== undefined && { last_used_at: rfc3339(credential.lastUsedAt) }),
});

const found = async (call: Call, id: string) => within(call, 'credential', id, await findCredential(call.q, id));

/** @throws Problem 422 naming `jwk`; what was sent is repeated nowhere */
function imported(jwk: unknown): ImportedPublicKey {
  try {
    return importPublicJwk(jwk);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    if (error.code !== 'private_key') throw invalid('jwk', `can not be used: ${error.message}`);
    throw invalid(
      'jwk',
      'holds a private key, and only the public half may travel: nothing was kept, but treat this key as lost and make another',
    );
  }
}

/** Adds a public key to an agent that was checked already. Shared with guards. */
export async function addCredential(
  call: WriteCall,
  agent: { id: string; org: string },
  wanted: { jwk: unknown; label: string; expires_at?: string | undefined },
): Promise<PublicKeyCredential> {
  const { tx, deps, now } = call;
  const { jwk, alg, kid } = imported(wanted.jwk);
  const live = await liveCredentials(tx, agent.id, now);
  if (live.length >= liveAtMost)
    throw conflict('agent', `has ${liveAtMost} live credentials already: remove one first`);
  if (live.some((one) => one.kind === 'public_key' && one.kid === kid))
    throw conflict('jwk.kid', 'is the name of another key of this agent');
  const expiresAt = wanted.expires_at === undefined ? undefined : Date.parse(wanted.expires_at);
  if (expiresAt !== undefined && expiresAt <= now) throw invalid('expires_at', 'must lie in the future');
  const credential: PublicKeyCredential = {
    id: newId(deps, 'credential'),
    agent: agent.id,
    org: agent.org,
    kind: 'public_key',
    thumbprint: thumbprint(jwk),
    kid,
    alg,
    jwk,
    label: wanted.label,
    createdAt: now,
    ...(expiresAt !== undefined && { expiresAt }),
    status: 'active',
  };
  if (!(await insertCredential(tx, credential))) {
    throw conflict('jwk', 'is or was registered already, and every key is for one agent and one life: make a new one');
  }
  await registerSubject(tx, { id: credential.id, kind: 'credential', parent: agent.id, endsAt: expiresAt, now });
  return credential;
}

export const credentialRoutes = [
  read({
    id: 'listCredentials',
    path: '/credentials',
    summary: 'List credentials',
    scopes: ['credentials:read'],
    query: listQuery({
      agent: idOf('agent').optional(),
      kid: line(256, 1).optional(),
      status: oneOf(['active', 'removed']).optional(),
    }),
    response: pageOfSchema(shown),
    async handler(call, { query }) {
      const page = pageFilter('credential', query);
      const { agent, kid, status } = query;
      return pageOf(
        await selectCredentials(call.q, { org: call.org.id, agent, kid, status, ...page }),
        page.shown,
        show,
      );
    },
  }),
  write('POST', {
    id: 'addCredential',
    path: '/credentials',
    summary: 'Add a public key to an agent',
    scopes: ['credentials:write'],
    status: 201,
    body: record({ agent: idOf('agent'), jwk: jwkBody, ...writable }),
    example: {
      agent: exampleId('agent'),
      jwk: {
        kty: 'EC',
        crv: 'P-256',
        x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU',
        y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0',
      },
      label: 'container image of September',
    },
    response: shown,
    async handler(call, { body }) {
      const agent = await governedAgent(call, body.agent, 'agent');
      const credential = await addCredential(call, agent, body);
      const { thumbprint, alg } = credential;
      // the kid is any text that the sender chose, which the leaf would keep for ever: the thumbprint says which key
      const changed = { agent: agent.id, thumbprint, alg };
      return {
        body: show(credential),
        event: { type: 'credential.created', org: agent.org, target: credential.id, changed },
      };
    },
  }),
  read({
    id: 'getCredential',
    path: '/credentials/{id}',
    summary: 'Show a credential',
    scopes: ['credentials:read'],
    params: byId('credential'),
    response: shown,
    handler: async (call, { params }) => show(await found(call, params.id)),
  }),
  write('PATCH', {
    id: 'updateCredential',
    path: '/credentials/{id}',
    summary: 'Change a credential',
    scopes: ['credentials:write'],
    params: byId('credential'),
    body: patchOf(writable),
    example: { label: 'laptop', expires_at: '2030-01-31T12:00:00Z' },
    response: shown,
    async handler(call, { params, body }) {
      const { tx, now } = call;
      const credential = await found(call, params.id);
      if (credential.status === 'removed') throw conflict('id', 'has ended for good');
      await governedAgent(call, credential.agent);
      const before = show(credential);
      checkMatch(call, before);
      const { label, expires_at } = before;
      const wanted = patchedBy(z.strictObject(writable), { label, ...(expires_at && { expires_at }) }, body);
      const expiresAt = wanted.expires_at === undefined ? undefined : Date.parse(wanted.expires_at);
      const moved = expiresAt !== credential.expiresAt;
      if (moved && expiresAt !== undefined && expiresAt <= now) throw invalid('expires_at', 'must lie in the future');
      const after = show({ ...credential, label: wanted.label, expiresAt });
      const changed = changes(before, after);
      if (Object.keys(changed).length === 0) return { body: before };
      const change = async () => {
        await updateCredential(tx, { id: credential.id, label: wanted.label, expiresAt });
        if (moved) await setSubjectEnd(tx, { id: credential.id, endsAt: expiresAt, now });
      };
      if (expiresAt !== undefined && expiresAt < (credential.expiresAt ?? Number.POSITIVE_INFINITY)) {
        await keepingAnOperator(call, credential.agent, change);
        await narrowSubject(tx, { id: credential.id, reason: 'ends earlier', by: call.caller.agent, now });
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
    description: 'Tokens that were got with it end at once.',
    scopes: ['credentials:write'],
    params: byId('credential'),
    async handler(call, { params }) {
      const { tx, now } = call;
      const credential = await found(call, params.id);
      if (credential.status === 'removed') return { body: undefined };
      const agent = await governedAgent(call, credential.agent);
      await keepingAnOperator(call, agent.id, () =>
        endSubject(tx, { id: credential.id, reason: 'credential removed', by: call.caller.agent, now }),
      );
      const changed = { agent: agent.id, thumbprint: credential.thumbprint };
      return {
        body: undefined,
        event: { type: 'credential.ended', org: credential.org, target: credential.id, changed },
      };
    },
  }),
] as const;
