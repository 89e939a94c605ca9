/** Adds credentials to agents that were checked already: each kind with its own rules, all of them with an end that holds. */
import { type ImportedPublicKey, importPublicJwk, ProtocolError, thumbprint } from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import { findInstanceByKey } from '../agents/instance-store.ts';
import { keyIn, readAuthorities, readCertificate } from '../credentials/certificate.ts';
import type { Credential, CredentialDetail, CredentialKind } from '../credentials/credential.ts';
import { newSecret, secretPrefixes, secretsEndAt } from '../credentials/secret.ts';
import {
  countUnusedTokens,
  findByThumbprint,
  freeThumbprint,
  insertCredential,
  liveCredentials,
  spiffeIdsElsewhere,
  type Unregistered,
} from '../credentials/store.ts';
import {
  canonicalSubject,
  coversSpiffeId,
  readSpiffePattern,
  spiffeThumbprint,
  subjectThumbprint,
} from '../credentials/subject.ts';
import { knowsTrustDomain } from '../federation/bundles.ts';
import { selectAuthorities } from '../keys/ca-store.ts';
import { rfc3339 } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import { registerSubject } from '../liveness/liveness.ts';
import { conflict, invalid } from '../web/problem.ts';
import { type NewCredential, tokenLifetime } from './credential.ts';
import type { Call, WriteCall } from './route.ts';

/** More than enough for any rotation; every one of them is a way in. */
const liveAtMost = 20;
/** One that is in use, and the one that will replace it. */
const secretsAtMost = 2;
/** One for each copy that is about to start. */
const unusedTokensAtMost = 1000;

/** What was added. `secret` is shown once and kept nowhere. */
export interface Added {
  credential: Credential;
  secret?: string;
}

type Own = (Pick<Extract<Unregistered, { kind: 'public_key' }>, 'kind' | 'kid' | 'alg' | 'jwk'> | CredentialDetail) & {
  thumbprint: string;
};

/**
 * Adds a credential of any kind. Shared with guards.
 * @throws Problem 422 naming the field, 409 for what is there already or too many of
 */
export async function addCredential(
  call: WriteCall,
  agent: Pick<Agent, 'id' | 'org' | 'status'>,
  wanted: NewCredential,
): Promise<Added> {
  const { tx, deps, now } = call;
  const { own, secret } = ownOf(call, wanted);
  if (own.kind === 'spiffe_id') {
    await isOfKnownDomain(call, agent.org, own.detail.spiffe_id);
    await isNobodyElses(call, agent.org, own.detail.spiffe_id);
  }
  if (own.kind === 'certificate_subject') await isNotOurAuthority(call, own.detail.ca);
  const expiresAt = endOf(call, { ...own, createdAt: now }, wantedEnd(call, wanted));
  await haveRoom(call, agent.id, own);
  if (own.kind === 'public_key' && (await findInstanceByKey(tx, own.thumbprint))) {
    throw conflict('jwk', 'is the key of an instance, and every key is for one of them: make a new one');
  }
  const credential: Unregistered = {
    id: newId(deps, 'credential'),
    agent: agent.id,
    org: agent.org,
    ...own,
    label: wanted.label,
    createdAt: now,
    ...(expiresAt !== undefined && { expiresAt }),
  };
  if (!(await insertCredential(tx, credential))) await takeOver(call, credential);
  // what was enrolled with a token lives on when the token's few minutes are over; removing the token does end it
  const subject =
    own.kind === 'enrolment_token'
      ? ({ kind: 'enrolment_token' } as const)
      : ({ kind: 'credential', endsAt: expiresAt } as const);
  await registerSubject(tx, { id: credential.id, parent: agent.id, now, ...subject });
  const status = agent.status === 'active' ? 'active' : 'suspended';
  return { credential: { ...credential, status } as Credential, ...(secret !== undefined && { secret }) };
}

const wantedEnd = ({ now }: Call, wanted: NewCredential): number | undefined => {
  if (wanted.kind === 'enrolment_token') return now + wanted.lifetime_seconds * 1000;
  return wanted.expires_at === undefined ? undefined : Date.parse(wanted.expires_at);
};

function ownOf(call: WriteCall, wanted: NewCredential): { own: Own; secret?: string } {
  switch (wanted.kind) {
    case 'certificate':
      return { own: certificateOf(call, wanted.certificate) };
    case 'certificate_subject':
      return { own: subjectOf(call, wanted.subject) };
    case 'spiffe_id':
      return { own: spiffeOf(call, wanted.spiffe_id) };
    case 'secret': {
      const { secret, hash } = newSecret(call.deps.random, secretPrefixes.secret);
      return { own: { kind: 'secret', detail: {}, thumbprint: hash }, secret };
    }
    case 'enrolment_token': {
      const { secret, hash } = newSecret(call.deps.random, secretPrefixes.enrolment_token);
      const { addresses, attributes } = wanted;
      const detail = {
        ...(addresses.length > 0 && { addresses }),
        ...(Object.keys(attributes).length > 0 && { attributes }),
      };
      return { own: { kind: 'enrolment_token', detail, thumbprint: hash }, secret };
    }
    default: {
      const { jwk, alg, kid } = importedKey(wanted.jwk);
      return { own: { kind: 'public_key', jwk, alg, kid, thumbprint: thumbprint(jwk) } };
    }
  }
}

/** @throws Problem 422 naming `jwk`; what was sent is repeated nowhere */
function importedKey(jwk: unknown): ImportedPublicKey {
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

/** Reads something of ours that says what is wrong, as a problem with this field. */
function reading<Result>(field: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError) throw invalid(field, error.message);
    throw error;
  }
}

function certificateOf({ deps, now }: Call, text: string): Own {
  const { pem, x5t, subject, notBefore, notAfter } = reading('certificate', () => readCertificate(text));
  if (notAfter <= now) throw invalid('certificate', `ended at ${rfc3339(notAfter)}: get a new one`);
  if (notBefore > now + deps.config.clock_skew_seconds * 1000) {
    throw invalid('certificate', `begins at ${rfc3339(notBefore)}: register it then`);
  }
  const detail = { certificate: pem, subject, not_before: notBefore, not_after: notAfter };
  return { kind: 'certificate', detail, thumbprint: x5t };
}

function subjectOf({ now }: Call, wanted: { field: CertificateField; value: string; ca?: string | undefined }): Own {
  const { field } = wanted;
  const value = reading('subject.value', () => canonicalSubject(field, wanted.value));
  if (field === 'san_uri' && value.startsWith('spiffe:')) {
    throw invalid('subject.value', 'is a SPIFFE ID: register it as one, with the kind spiffe_id');
  }
  const authorities = wanted.ca === undefined ? [] : reading('subject.ca', () => readAuthorities(wanted.ca as string));
  const living = authorities.filter(({ notAfter }) => notAfter > now);
  if (authorities.length > 0 && living.length === 0) {
    const last = Math.max(...authorities.map(({ notAfter }) => notAfter));
    throw invalid('subject.ca', `ended at ${rfc3339(last)}: whatever it issued is accepted by nobody`);
  }
  const detail = { field, value, ...(authorities.length > 0 && { ca: authorities.map(({ pem }) => pem).join('') }) };
  return { kind: 'certificate_subject', detail, thumbprint: subjectThumbprint(detail) };
}

type CertificateField = Extract<Credential, { kind: 'certificate_subject' }>['detail']['field'];

function spiffeOf({ deps }: Call, text: string): Own {
  const { trustDomain, path, below } = reading('spiffe_id', () => readSpiffePattern(text));
  if (trustDomain === deps.config.trust_domain) {
    throw invalid('spiffe_id', 'is of this server’s own trust domain: those get their identity here, by enrolling');
  }
  if (path.length === 0 && !below) {
    throw invalid('spiffe_id', 'names a whole trust domain: name a workload, or add /* if all of them are meant');
  }
  return { kind: 'spiffe_id', detail: { spiffe_id: text }, thumbprint: spiffeThumbprint(text) };
}

/** Without its trust domain's bundle nobody could verify it. @throws Problem 422 */
async function isOfKnownDomain({ tx }: WriteCall, org: string, spiffeId: string): Promise<void> {
  const { trustDomain } = readSpiffePattern(spiffeId);
  if (await knowsTrustDomain(tx, org, trustDomain)) return;
  throw invalid(
    'spiffe_id',
    `is of the trust domain ${trustDomain}, which is not registered here: register that first`,
  );
}

/**
 * Looked at within the transaction, and registry writes run one after the other: of two at once one finds the other.
 * @throws Problem 409 for what meets a name or pattern of another organization, whose it is not saying
 */
async function isNobodyElses({ tx }: WriteCall, org: string, spiffeId: string): Promise<void> {
  const theirs = await spiffeIdsElsewhere(tx, org, readSpiffePattern(spiffeId).trustDomain);
  if (theirs.every((one) => !coversSpiffeId(one, spiffeId) && !coversSpiffeId(spiffeId, one))) return;
  throw conflict('spiffe_id', 'stands for an agent already, or meets a pattern that does');
}

/**
 * By their own SVIDs our instances would be whoever has the name; they have ways of their own to prove who they are.
 * @throws Problem 422 naming `subject.ca`
 */
async function isNotOurAuthority({ tx }: WriteCall, ca: string | undefined): Promise<void> {
  if (ca === undefined) return;
  const ours = new Set((await selectAuthorities(tx)).map((one) => keyIn(Buffer.from(one.certificate, 'base64'))));
  // by the key: whatever another certificate says of it, it is the same authority
  if (!readAuthorities(ca).some(({ pem }) => ours.has(keyIn(pem)))) return;
  throw invalid(
    'subject.ca',
    'is an authority of this server: leave ca away for certificates of this server’s own authority',
  );
}

/**
 * When a credential of this kind may end, if `wanted` is asked for.
 * @param wanted milliseconds; undefined: no end is named
 * @throws Problem 422 naming `expires_at`
 */
export function endOf(
  { deps, now }: Call,
  one: { kind: CredentialKind; createdAt: number; detail?: unknown },
  wanted: number | undefined,
): number | undefined {
  if (wanted !== undefined && wanted <= now) throw invalid('expires_at', 'must lie in the future');
  if (one.kind === 'certificate') {
    const { not_after } = one.detail as { not_after: number };
    if (wanted !== undefined && wanted > not_after) {
      throw invalid('expires_at', `must not lie after the end of the certificate, ${rfc3339(not_after)}`);
    }
    return wanted ?? not_after;
  }
  if (one.kind === 'enrolment_token') {
    const most = one.createdAt + tokenLifetime.most * 1000;
    if (wanted === undefined || wanted > most) {
      throw invalid('expires_at', `must not lie after ${rfc3339(most)}: an enrolment token lives for an hour at most`);
    }
  }
  if (one.kind === 'secret') {
    const last = secretsEndAt(deps.config);
    if (last === undefined || last <= now) {
      throw invalid(
        'kind',
        'can not be secret here: shared secrets work by a dated exception alone (dangerously_client_secrets_until); use a key or a certificate',
      );
    }
    if (wanted === undefined || wanted > last) {
      throw invalid(
        'expires_at',
        `is needed for a secret, and must not lie after ${rfc3339(last)}, when the exception ends`,
      );
    }
  }
  return wanted;
}

/** @throws Problem 409 when the agent has too many of this kind */
async function haveRoom({ tx, now }: WriteCall, agent: string, own: Own): Promise<void> {
  if (own.kind === 'enrolment_token') {
    if ((await countUnusedTokens(tx, agent, now)) < unusedTokensAtMost) return;
    throw conflict(
      'agent',
      `has ${unusedTokensAtMost} enrolment tokens that nobody has used yet: they end by themselves`,
    );
  }
  const live = await liveCredentials(tx, agent, now);
  if (live.length >= liveAtMost) {
    throw conflict('agent', `has ${liveAtMost} live credentials already: remove one first`);
  }
  if (own.kind === 'secret' && live.filter(({ kind }) => kind === 'secret').length >= secretsAtMost) {
    throw conflict(
      'agent',
      `has ${secretsAtMost} live secrets already, as many as replacing one takes: remove one first`,
    );
  }
  if (own.kind === 'public_key' && live.some((one) => one.kind === 'public_key' && one.kid === own.kid)) {
    throw conflict('jwk.kid', 'is the name of another key of this agent');
  }
}

/**
 * Somebody has, or had, the very same. A key or certificate is for one agent and one life; a name may be given anew
 * once its credential was removed.
 * @throws Problem 409 naming the field
 */
async function takeOver({ tx, now }: WriteCall, credential: Unregistered): Promise<void> {
  const known = await findByThumbprint(tx, credential.thumbprint);
  if (credential.kind === 'certificate_subject' || credential.kind === 'spiffe_id') {
    if (known?.status === 'removed') {
      await freeThumbprint(tx, known.id);
      if (await insertCredential(tx, credential)) return;
    }
    const field = credential.kind === 'spiffe_id' ? 'spiffe_id' : 'subject';
    const expired = known?.expiresAt !== undefined && known.expiresAt <= now;
    const how = expired
      ? `has expired, and its credential was not removed: remove it first`
      : 'stands for an agent already';
    throw conflict(field, `${how}, and one name stands for one agent`);
  }
  const [field, what] = credential.kind === 'certificate' ? ['certificate', 'certificate'] : ['jwk', 'key'];
  throw conflict(
    field,
    `is or was registered already, and every ${what} is for one agent and one life: make a new one`,
  );
}
