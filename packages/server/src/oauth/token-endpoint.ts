/** The road of every token. @see RFC 6749 §3.2, RFC 9449 §5 */
import { parseDetails } from '@bailiwick/protocol';
import { authenticateClient } from '../client-auth/authenticate.ts';
import { provenBinding, readProof } from '../client-auth/dpop.ts';
import { noteUse } from '../client-auth/last-use.ts';
import { decide } from '../decide/decide.ts';
import type { OAuthRequest } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { grantFor } from '../grants/index.ts';
import { isId } from '../lib/ids.ts';
import { onAuthorityOf } from '../lib/oauth-error.ts';
import { ownUrls } from '../lib/own-urls.ts';
import { single } from '../tokens/form.ts';
import { changed, issue, type TokenResponse } from '../tokens/issue.ts';
import { plannedAnew } from '../tokens/planned-anew.ts';
import { oauthPaths } from './endpoints.ts';

/**
 * Answers a token request. Every grant goes this way; there is no other.
 * @throws OAuthError for what is refused; whatever an authenticated client was refused is on record by then
 */
export async function tokenEndpoint(deps: Deps, request: OAuthRequest): Promise<TokenResponse> {
  const proof = readProof(deps, request); // sends for a nonce before anything is spent
  const { form, certificate, context } = request;
  return plannedAnew(deps, {
    type: 'token.refused',
    context,
    asked: () => askedOf(request),
    who: async (since) => ({ client: await authenticateClient(deps, request, since, proof) }), // who asks: client-auth/
    async attempt({ client }, spends) {
      const grant = grantFor(single(form, 'grant_type'), client); // by which right: grants/
      const binding = provenBinding(deps, proof, certificate, ownUrls(deps.config, oauthPaths.token)); // bound to which key
      if (binding) spends.push(...binding.proofs);
      const plan = await grant.plan(deps, client, { ...request, binding }); // what exactly; reads, and nothing more
      const answer = await onAuthorityOf(plan.delegation?.person, async () => {
        const decided = await decide(deps, plan, context); // may it, here, now: decide/
        return issue(deps, decided, context); // sign, commit, say: tokens/
      });
      if (answer !== changed && !client.instance) noteUse(deps, client.credential); // what enrolled isn't used by it
      return answer;
    },
  });
}

/** What was asked for, as the log can keep it. */
const askedOf = ({ form }: OAuthRequest) => ({
  details: typesAsked(single(form, 'authorization_details')),
  grant_type: readable(single(form, 'grant_type'), 128),
  mandate: mandateAsked(single(form, 'subject_token')),
  requested_token_type: readable(single(form, 'requested_token_type'), 128),
  resource: readable(single(form, 'resource'), 512),
  scope: readable(single(form, 'scope'), 512),
  task: single(form, 'task')?.includes('.') ? 'signed' : readable(single(form, 'task'), 64),
});

/** An id is no secret; a token is. */
const mandateAsked = (subject: string | undefined) =>
  subject !== undefined && isId('mandate', subject) ? subject : undefined;

/** The types of details alone: the rest may tell of people, and what was never granted need not be kept. */
function typesAsked(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  try {
    return [...new Set(parseDetails(text).map(({ type }) => readable(type, 128) as string))].sort();
  } catch {
    return ['?'];
  }
}

/** Text as the log can hold it: not without end, and no control characters (PostgreSQL refuses a NUL). */
function readable(text: string | undefined, most: number): string | undefined {
  return text?.slice(0, most).replaceAll(/[^\x20-\x7e]/g, '\ufffd');
}
