/**
 * A task that an orchestrator signed instead of opening it here, and that the agent brings along: a JWT whose header says
 * `task+jwt`, by one of the orchestrator's registered keys.
 * @see RFC 7519, RFC 8725
 */
import type { KeyObject } from 'node:crypto';
import {
  importPublicJwk,
  isJwsAlgorithm,
  type JwsAlgorithm,
  type ParsedJws,
  ProtocolError,
  parseCompact,
  signedTaskId,
  taskJwtType,
  verifyParsed,
} from '@bailiwick/protocol';
import type { PublicKeyCredential } from '../credentials/credential.ts';
import { liveCredentials } from '../credentials/store.ts';
import { namedResources } from '../decide/named-resources.ts';
import { mayOrchestrate, orchestratorOf } from '../decide/orchestrator.ts';
import type { Client } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { rememberedPer } from '../lib/remember.ts';
import { Unfit } from '../lib/unfit.ts';
import { suspendedSince } from '../liveness/liveness.ts';
import type { Task } from '../tasks/task.ts';
import { endOf, signedTask as signedTaskSchema } from '../tasks/wanted.ts';

/** How far ahead `exp` may lie, and `iat` back: between them it can be presented. In milliseconds. */
const presentableMs = 15 * 60 * 1000;
const keysTried = 8;

interface Key {
  id: string;
  kid: string;
  thumbprint: string;
  alg: JwsAlgorithm;
  key: KeyObject;
  expiresAt: number | undefined;
}

const keysOfOrchestrators = rememberedPer<Key[]>(1000);

/**
 * Reads and verifies a signed task for the agent that presents it. Nothing is written, and whether it is still open is not looked at.
 * @throws OAuthError `invalid_request` for what can't be read or accepted; `invalid_grant` for what isn't an orchestrator's word to this agent
 */
export async function signedTask(deps: Deps, client: Client, jwt: string): Promise<Task> {
  const now = deps.clock.now();
  const parsed = read(jwt);
  const claims = claimsOf(deps, client, parsed, now);
  const { version } = client.asOf;
  const orchestrator = await orchestratorOf(deps, version, claims.iss);
  const key = orchestrator && (await verifyingKey(deps, version, claims.iss, parsed, now));
  if (!key || !orchestrator || !mayOrchestrate(orchestrator, client.agent.org, now)) {
    // which of them is nothing that whoever brings it would know
    throw refused('its signature is by no key of an orchestrator', key ? 'signer is no orchestrator' : 'no such key');
  }
  // a clock that is ahead of ours must not bring back what was signed before
  const signedAt = claims.signedAt - deps.config.clock_skew_seconds * 1000;
  if (await suspendedSince(deps.db, [claims.iss, client.agent.org], signedAt)) {
    throw refused('it has expired', 'signed before its orchestrator was suspended');
  }
  const wanted = signedTaskSchema.safeParse(parsed.payload.task);
  if (!wanted.success) {
    const [issue] = wanted.error.issues;
    throw unfit(['task', ...(issue?.path ?? [])].join('.'), issue?.message || 'has members that are not known');
  }
  const { purpose, workflow, step, environment, resources, ends_at } = wanted.data;
  try {
    return {
      id: signedTaskId(claims.iss, claims.jti),
      org: client.agent.org,
      agent: client.agent.id,
      orchestrator: claims.iss,
      workflow,
      step,
      environment,
      purpose,
      resources: resources && (await namedResources(deps.db, client.agent, resources, 'whole')),
      restsOn: [key.id],
      rev: client.asOf.rev,
      createdAt: now,
      endsAt: endOf({ ends_at }, now),
      endedAt: undefined,
    };
  } catch (error) {
    if (error instanceof Unfit) throw unfit(`task.${error.field}`, error.message);
    throw error;
  }
}

function read(jwt: string): ParsedJws {
  try {
    return parseCompact(jwt);
  } catch (error) {
    if (error instanceof ProtocolError) throw new OAuthError('invalid_request', `task: ${error.message}`);
    throw error;
  }
}

/** What is wrong with its claims is no secret: whoever writes an orchestrator needs to hear it. */
function claimsOf(deps: Deps, { agent }: Client, { header, payload }: ParsedJws, now: number) {
  const skewMs = deps.config.clock_skew_seconds * 1000;
  const { iss, sub, aud, exp, iat, nbf, jti } = payload;
  if (header.typ !== taskJwtType) throw unfit('the header', 'must have typ task+jwt');
  if (!isJwsAlgorithm(header.alg)) throw unfit('the header', 'names no algorithm of ours');
  if (typeof iss !== 'string' || !isId('agent', iss)) throw unfit('iss', 'must be the client_id of the orchestrator');
  if (sub !== agent.id) throw refused('it is for another agent', 'signed task for another agent');
  if (aud !== deps.config.issuer) throw unfit('aud', 'must be this issuer, and nothing else');
  if (typeof jti !== 'string' || !/^[\x21-\x7e]{1,256}$/.test(jti)) {
    throw unfit('jti', 'must be 1 to 256 printable characters');
  }
  const until = numericDate(exp, 'exp');
  if (until + skewMs <= now) throw refused('it has expired', 'signed task expired');
  if (until > now + presentableMs + skewMs) throw unfit('exp', 'must be at most 15 minutes ahead');
  const signedAt = numericDate(iat, 'iat');
  for (const [name, time] of [
    ['iat', signedAt],
    ['nbf', nbf === undefined ? 0 : numericDate(nbf, 'nbf')],
  ] as const) {
    if (time > now + skewMs) throw unfit(name, 'must not be in the future');
  }
  if (signedAt + presentableMs + skewMs <= now) throw refused('it is older than 15 minutes', 'signed task too old');
  return { iss, jti, signedAt };
}

function numericDate(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0 && value < 1e11) return value * 1000;
  throw unfit(name, 'must be a NumericDate');
}

/** The registered key that signed it: the one that the header names, or whichever of the orchestrator's does. */
async function verifyingKey(
  deps: Deps,
  version: number,
  orchestrator: string,
  parsed: ParsedJws,
  now: number,
): Promise<Key | undefined> {
  const keys = await keysOfOrchestrators(deps.db).get(version, orchestrator, async () =>
    (await liveCredentials(deps.db, orchestrator, now))
      .filter((each): each is PublicKeyCredential => each.kind === 'public_key')
      .map(({ id, kid, thumbprint, alg, jwk, expiresAt }) => {
        const { key } = importPublicJwk(jwk, alg);
        return { id, kid, thumbprint, alg, key, expiresAt };
      }),
  );
  const { alg, kid } = parsed.header;
  const named = (keys ?? []).filter(
    (key) =>
      key.alg === alg &&
      (key.expiresAt === undefined || key.expiresAt > now) &&
      (kid === undefined || key.kid === kid || key.thumbprint === kid),
  );
  return named.slice(0, keysTried).find((key) => verifyParsed(parsed, { alg: key.alg, key: key.key }));
}

const unfit = (field: string, message: string) => new OAuthError('invalid_request', `task: ${field} ${message}`);

const refused = (message: string, reason: string) =>
  new OAuthError('invalid_grant', `task: ${message}`, { reason: `task: ${reason}` });
