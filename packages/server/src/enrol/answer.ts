/** What an instance is given: its name, its end, and documents that say so. */
import { ProtocolError } from '@bailiwick/protocol';
import type { Instance } from '../agents/instance.ts';
import { decide } from '../decide/decide.ts';
import type { Binding, Client, RequestContext } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { grantFor } from '../grants/index.ts';
import { rfc3339 } from '../lib/clock.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { trustBundle } from '../svid/bundle.ts';
import { issueJwtSvid, longestJwtSvidMs } from '../svid/jwt-svid.ts';
import { issueX509Svid, type X509Svid } from '../svid/x509-svid.ts';
import { type PreparedToken, prepareToken } from '../tokens/issue.ts';
import type { Wanted } from './body.ts';
import type { ProvenKey } from './proof.ts';

/** All that is signed for an instance before it exists: worth nothing unless the settlement after it succeeds. */
export interface Documents {
  x509: X509Svid | undefined;
  jwts: { audience: string; token: string; expiresAt: number }[];
  bundle: object | undefined;
}

/**
 * Signs what was asked for.
 * @throws OAuthError `invalid_request` for a key that no certificate is made for
 */
export async function documentsFor(
  deps: Deps,
  { asOf }: Client,
  { instance, key }: { instance: Instance; key: ProvenKey },
  wanted: Wanted,
): Promise<Documents> {
  const { version } = asOf;
  const { spiffeId, expiresAt } = instance;
  const until = Math.min(expiresAt, deps.clock.now() + longestJwtSvidMs);
  try {
    const x509 = wanted.x509_svid
      ? await issueX509Svid(deps, version, {
          spiffeId,
          publicKey: { ...key.jwk, alg: key.alg },
          notAfter: expiresAt,
          dnsNames: key.dnsNames,
          template: 'instance',
        })
      : undefined;
    const jwts: Documents['jwts'] = [];
    for (const audience of wanted.jwt_svid_audiences) {
      const token = await issueJwtSvid(deps, version, { spiffeId, audience: [audience], expiresAt: until });
      jwts.push({ audience, token, expiresAt: until });
    }
    return { x509, jwts, bundle: x509 || jwts.length > 0 ? await trustBundle(deps, version) : undefined };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('invalid_request', error.message, { reason: `certificate ${error.code}` });
  }
}

/**
 * The token that was asked for along with an instance, by the very road of every token: planned by its grant, decided,
 * signed; it is settled together with the instance.
 * @throws OAuthError as at the token endpoint: then nothing is enrolled either
 */
export async function tokenFor(
  deps: Deps,
  client: Client,
  made: { instance: Instance; key: ProvenKey; x5t: string | undefined },
  wanted: NonNullable<Wanted['token']>,
  context: RequestContext,
): Promise<PreparedToken> {
  const { instance, key } = made;
  const form = new Map<string, readonly string[]>();
  if (wanted.resource !== undefined) form.set('resource', [wanted.resource]);
  if (wanted.scope !== undefined) form.set('scope', [wanted.scope]);
  if (wanted.task !== undefined) form.set('task', [wanted.task]);
  // its proofs are spent by the enrolment; what it proves itself with from now on is its own key
  const acting: Client = { ...client, instance, thumbprint: key.thumbprint, proofs: [] };
  const grant = grantFor('client_credentials', acting);
  const plan = await grant.plan(deps, acting, { form, binding: bindingOf(made), context });
  return prepareToken(deps, await decide(deps, plan, context), context);
}

/** A key shown by a DPoP proof goes on with DPoP, one shown by a certificate request with its certificate. */
function bindingOf({ key, x5t }: { key: ProvenKey; x5t: string | undefined }): Binding {
  if (key.by === 'dpop') return { jkt: key.thumbprint, proofs: [] };
  if (x5t !== undefined) return { x5t, proofs: [] };
  throw new OAuthError('invalid_request', 'a token is bound to a DPoP proof or to x509_svid: leave that true');
}

export interface InstanceAnswer extends Record<string, unknown> {
  instance: string;
}

export function answerOf(instance: Instance, documents: Documents, token: PreparedToken | undefined): InstanceAnswer {
  const { x509, jwts, bundle } = documents;
  return {
    ...shownInstance(instance),
    renew_at: rfc3339(Math.floor((instance.renewedAt + instance.expiresAt) / 2)),
    ...(x509 && {
      x509_svid: { certificate_chain: x509.chain, 'x5t#S256': x509.x5t, expires_at: rfc3339(x509.notAfter) },
    }),
    ...(bundle && { trust_bundle: bundle }),
    ...(jwts.length > 0 && {
      jwt_svids: jwts.map(({ audience, token: jwt, expiresAt }) => ({
        audience,
        token: jwt,
        expires_at: rfc3339(expiresAt),
      })),
    }),
    ...(token && { token: token.answer }),
  };
}

/** What an instance may know of itself. */
export const shownInstance = (instance: Instance) => ({
  instance: instance.id,
  client_id: instance.agent,
  spiffe_id: instance.spiffeId,
  ...(instance.parent !== undefined && { parent: instance.parent, name: instance.name }),
  ...(instance.allowed && {
    allowed: instance.allowed.map(({ resource, scope }) => ({ resource, scope: scope.join(' ') })),
  }),
  expires_at: rfc3339(instance.expiresAt),
  attributes: instance.attributes,
});
