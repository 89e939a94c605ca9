/** The road of every token. @see RFC 6749 §3.2, RFC 9449 §5 */
import { authenticateClient } from '../client-auth/authenticate.ts';
import { provenBinding, readProof } from '../client-auth/dpop.ts';
import { noteUse } from '../client-auth/last-use.ts';
import { decide, withinBudget } from '../decide/decide.ts';
import type { OAuthRequest, Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { grantFor } from '../grants/index.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { asOf } from '../liveness/liveness.ts';
import { single } from '../tokens/form.ts';
import { changed, issue, type TokenResponse } from '../tokens/issue.ts';
import { refuse } from '../tokens/refusal.ts';
import { endpointUrls } from './endpoints.ts';

/** How often a request is planned anew when what it rests on changes under it. */
const plansAtMost = 5;

/**
 * Answers a token request. Every grant goes this way; there is no other.
 * @throws OAuthError for what is refused; whatever an authenticated client was refused is on record by then
 */
export async function tokenEndpoint(deps: Deps, request: OAuthRequest): Promise<TokenResponse> {
  const proof = readProof(deps, request); // sends for a nonce before anything is spent
  for (let planned = 0; ; planned++) {
    const since = await asOf(deps.db); // as of when: liveness/
    const client = await authenticateClient(deps, request, since, proof); // who asks: client-auth/
    const spends: Spend[] = [...client.proofs];
    try {
      if (planned === 0) withinBudget(deps, client.agent);
      if (planned === plansAtMost) throw tooMuchChanges();
      const grant = grantFor(single(request.form, 'grant_type'), client); // by which right: grants/
      const binding = provenBinding(deps, proof, request.certificate, endpointUrls(deps.config, 'token')); // bound to which key
      if (binding) spends.push(...binding.proofs);
      const plan = await grant.plan(deps, client, { ...request, binding }); // what exactly; reads, and nothing more
      const decided = await decide(deps, plan); // may it, here, now: decide/
      const answer = await issue(deps, decided, request.context); // sign, commit, say: tokens/
      if (answer === changed) continue;
      if (!client.instance) noteUse(deps, client.credential); // what enrolled an instance isn't used by it
      return answer;
    } catch (error) {
      const { context } = request;
      throw await refuse(deps, { type: 'token.refused', client, spends, context, error, asked: askedOf(request) });
    }
  }
}

const tooMuchChanges = () =>
  new OAuthError('temporarily_unavailable', 'too much is changing at once; try again', { retryAfter: 1 });

/** What was asked for, as the log can keep it. */
const askedOf = ({ form }: OAuthRequest) => ({
  grant_type: readable(single(form, 'grant_type'), 128),
  resource: readable(single(form, 'resource'), 512),
  scope: readable(single(form, 'scope'), 512),
});

/** Text as the log can hold it: not without end, and no control characters (PostgreSQL refuses a NUL). */
function readable(text: string | undefined, most: number): string | undefined {
  return text?.slice(0, most).replaceAll(/[^\x20-\x7e]/g, '\ufffd');
}
