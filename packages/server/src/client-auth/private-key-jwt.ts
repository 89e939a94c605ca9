/**
 * `private_key_jwt`: the client signs a short assertion with its own key.
 * @see RFC 7523 §2.2 and §3, OpenID Connect Core §9
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import {
  boundedCache,
  type ClientAssertion,
  importPublicJwk,
  isJwsAlgorithm,
  type JwsAlgorithm,
  type ParsedJws,
  ProtocolError,
  parseCompact,
  validateClientAssertion,
  verifyParsed,
} from '@bailiwick/protocol';
import type { Instance } from '../agents/instance.ts';
import { instanceAlive } from '../agents/instance-standing.ts';
import { findInstanceByKey } from '../agents/instance-store.ts';
import type { Client, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Counter } from '../liveness/liveness.ts';
import { single } from '../tokens/form.ts';
import { spendOf } from '../tokens/spend.ts';
import { endOfEnrolling, type Registration, registrationOf } from './registration.ts';
import { spiffeAssertionType } from './spiffe-jwt.ts';

export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** Why authentication failed, for the log alone: everybody who fails hears the same. */
const failed = (reason: string) => new OAuthError('invalid_client', 'client authentication failed', { reason });

export const privateKeyJwt = {
  method: 'private_key_jwt',
  presented: ({ form }: OAuthRequest) =>
    single(form, 'client_assertion') !== undefined || single(form, 'client_assertion_type') !== undefined,

  /**
   * The agent whose key signed the assertion, or that of a living instance of it. Exactly one signature is verified
   * whether the client exists or not, so that neither the answer nor its time tells.
   * @throws OAuthError `invalid_client`; `invalid_request` for parameters that no client could have meant
   */
  async authenticate(deps: Deps, request: OAuthRequest, asOf: Counter): Promise<Client> {
    const assertion = single(request.form, 'client_assertion');
    const type = single(request.form, 'client_assertion_type');
    if (type === undefined) throw new OAuthError('invalid_request', 'client_assertion_type is missing');
    if (assertion === undefined) throw new OAuthError('invalid_request', 'client_assertion is missing');
    if (type !== assertionType) {
      // RFC 6749 §5.2: a method that isn't supported is a failed authentication
      throw new OAuthError(
        'invalid_client',
        `client_assertion_type must be ${assertionType} or ${spiffeAssertionType}`,
        {
          reason: 'unknown assertion type',
        },
      );
    }

    const { parsed, claims, alg } = read(deps, assertion);
    const clientId = single(request.form, 'client_id');
    if (clientId !== undefined && clientId !== claims.clientId) throw failed('client_id is not the sub');

    const registration = await registrationOf(deps, asOf, claims.clientId);
    const now = deps.clock.now();
    const credential = registration && keyFor(registration, parsed, alg, now);
    // looked up for whoever shows no registered key, known or not, so that time tells nothing
    const instance = credential ? undefined : await instanceFor(deps, claims.clientId, parsed, alg);
    const key = credential?.key ?? (instance && keyOfInstance(instance)) ?? dummyKey(alg);
    const proven = verifyParsed(parsed, { alg, key });
    if (!registration) throw failed('unknown client');
    if (!credential && !instance) throw failed('no such key');
    if (!proven) throw failed('bad signature');
    if (instance && !(await instanceAlive(deps.db, instance, now))) throw failed('instance has ended');

    // a replay is refused for as long as its age would not already do so
    const expiresAt = (claims.exp + deps.config.clock_skew_seconds + 1) * 1000;
    return {
      agent: registration.agent,
      credential: credential?.id ?? (instance as Instance).credential,
      thumbprint: credential?.thumbprint ?? (instance as Instance).thumbprint,
      credentialEndsAt: instance ? endOfEnrolling(registration, instance) : credential?.expiresAt,
      method: 'private_key_jwt',
      instance,
      provenAt: (claims.iat ?? claims.exp - deps.config.assertion.max_lifetime_seconds) * 1000,
      proofs: [spendOf('assertion', instance?.id ?? claims.clientId, claims.jti, expiresAt)],
      asOf,
    };
  },
};

/** The instance of this client whose key the header names by its thumbprint, living or not. */
async function instanceFor(
  deps: Deps,
  clientId: string,
  { header }: ParsedJws,
  alg: JwsAlgorithm,
): Promise<Instance | undefined> {
  const kid = typeof header.kid === 'string' && /^[\w-]{43}$/.test(header.kid) ? header.kid : '';
  const found = await findInstanceByKey(deps.db, kid);
  return found?.agent === clientId && found.alg === alg ? found : undefined;
}

const instanceKeys = boundedCache<KeyObject>(50_000);

/** Parsed once for each key: the thumbprint says which one it is. */
function keyOfInstance({ thumbprint, jwk, alg }: Instance): KeyObject {
  const known = instanceKeys.get(thumbprint);
  if (known) return known;
  const { key } = importPublicJwk(jwk, alg);
  instanceKeys.set(thumbprint, key);
  return key;
}

/** Reads the assertion without believing it. @see RFC 7523 §3, in its order */
function read(deps: Deps, assertion: string): { parsed: ParsedJws; claims: ClientAssertion; alg: JwsAlgorithm } {
  try {
    const parsed = parseCompact(assertion);
    const { alg } = parsed.header;
    if (!isJwsAlgorithm(alg)) throw failed('unsupported algorithm');
    const claims = validateClientAssertion(parsed, {
      issuer: deps.config.issuer,
      now: deps.clock.now(),
      maxLifetimeSeconds: deps.config.assertion.max_lifetime_seconds,
      skewSeconds: deps.config.clock_skew_seconds,
    });
    return { parsed, claims, alg };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    // what is wrong with the form of an assertion is no secret, and whoever writes a client needs to hear it
    throw new OAuthError('invalid_client', `client_assertion: ${error.message}`, { reason: `assertion ${error.code}` });
  }
}

/** The key that the header names; without a `kid` the only one of its algorithm. Never more than one is tried. */
function keyFor({ keys }: Registration, { header }: ParsedJws, alg: JwsAlgorithm, now: number) {
  const live = keys.filter((key) => key.alg === alg && (key.expiresAt === undefined || key.expiresAt > now));
  if (header.kid === undefined) return live.length === 1 ? live[0] : undefined;
  return live.find((key) => key.kid === header.kid || key.thumbprint === header.kid);
}

const dummies = new Map<JwsAlgorithm, KeyObject>();

/** A key that nobody has, so that a stranger costs what an acquaintance costs. */
function dummyKey(alg: JwsAlgorithm): KeyObject {
  let key = dummies.get(alg);
  if (!key) {
    if (alg === 'ES256') key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
    else if (alg === 'EdDSA') key = generateKeyPairSync('ed25519').publicKey;
    else key = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
    dummies.set(alg, key);
  }
  return key;
}
