/**
 * `spiffe_jwt`: a JWT-SVID as the client's assertion. It is whoever its trust domain says, needs neither `iss` nor `jti`,
 * and may be shown as often as it lives: the draft lets workloads keep and reuse them. So a stolen one must be worth nothing
 * by other means. One of an instance of ours works beside the instance's own key alone: at the token endpoint
 * for a token that is bound to it, elsewhere over a connection with its certificate. One of
 * another trust domain says nothing of a key: keep its life short, and prefer the X.509-SVID.
 * @see draft-ietf-oauth-spiffe-client-auth §3.1, JWT-SVID §4
 */
import { type DpopProof, ProtocolError, parseCompact } from '@bailiwick/protocol';
import type { Instance } from '../agents/instance.ts';
import type { Client, OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Counter } from '../liveness/liveness.ts';
import { verifiedByBundles } from '../svid/bundles.ts';
import { verifyJwtSvid } from '../svid/jwt-svid.ts';
import { single } from '../tokens/form.ts';
import { keyOfConnection } from './certificate-key.ts';
import { verifyNothing } from './dummy.ts';
import { failed } from './failed.ts';
import { holderOfId, judgeOf } from './spiffe-holder.ts';

export const spiffeAssertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';

const longestMs = 5 * 60 * 1000;
/** What is refused before a signature was looked at; a signature is looked at all the same. */
const beforeSignature = new Set(['malformed', 'bad_spiffe_id', 'unknown_trust_domain', 'unknown_key', 'sole_audience']);

export const spiffeJwt = {
  method: 'spiffe_jwt',
  presented: ({ form }: OAuthRequest) => single(form, 'client_assertion_type') === spiffeAssertionType,

  /** @throws OAuthError `invalid_client`, `invalid_request` */
  async authenticate(deps: Deps, request: OAuthRequest, asOf: Counter, proof?: DpopProof): Promise<Client> {
    const { form } = request;
    const assertion = single(form, 'client_assertion');
    if (assertion === undefined) throw new OAuthError('invalid_request', 'client_assertion is missing');
    const named = single(form, 'client_id');
    const { spiffeId, expiresAt } = await verified(deps, asOf, assertion, named);
    const holder = await holderOfId(deps, asOf, { spiffeId, clientId: named }, undefined);
    if (!holder) throw failed('nobody has this SPIFFE ID');
    if (named !== undefined && named !== spiffeId && named !== holder.agent.id) throw failed('client_id is another');
    if (holder.instance && !byOwnKey(request, proof, holder.instance)) throw failed('the key of somebody else');
    return {
      ...holder,
      attested: { spiffe_id: spiffeId },
      provenUntil: expiresAt,
      method: 'spiffe_jwt',
      proofs: [],
      asOf,
    };
  },
};

async function verified(deps: Deps, asOf: Counter, assertion: string, clientId: string | undefined) {
  try {
    const { aud, sub } = parseCompact(assertion).payload;
    soleAudience(aud, deps.config.issuer);
    const spiffeId = sub as string;
    const org = await judgeOf(deps, asOf, { spiffeId, clientId });
    return await verifiedByBundles(deps, asOf.version, org, (bundles) =>
      verifyJwtSvid(deps, assertion, { audience: [deps.config.issuer], bundles, longestMs }),
    );
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    if (beforeSignature.has(error.code)) verifyNothing();
    throw failed(`JWT-SVID ${error.code}`);
  }
}

/** Rule 3: for us and nobody else, or somebody else could have shown it to us. */
function soleAudience(aud: unknown, issuer: string): void {
  const [only, ...others] = Array.isArray(aud) ? aud : [aud];
  if (only !== issuer || others.length > 0) throw new ProtocolError('sole_audience', 'aud must be the issuer alone');
}

/**
 * Whether the instance's own key is shown: by the DPoP proof that the caller goes on to verify, which is where a token is bound
 * to it; without one, by the certificate of the connection. Nothing else will do, whatever is asked for: who only shows or gives up
 * a token could have found the JWT-SVID as well.
 */
function byOwnKey({ certificate }: OAuthRequest, proof: DpopProof | undefined, { thumbprint }: Instance): boolean {
  return thumbprint === (proof ? proof.jkt : keyOfConnection(certificate));
}
