import type { MayAct } from '@bailiwick/protocol';
import type { Client, Form } from '../decide/plan.ts';
import { agentCalled } from '../decide/registered.ts';
import type { Deps } from '../deps.ts';
import { isId } from '../lib/ids.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { spiffeId } from '../tokens/claims.ts';
import { single } from '../tokens/form.ts';

/**
 * Who may exchange the token beside the client itself, as the request says (`may_act`): an agent of the same organization, by id or SPIFFE ID, or
 * an instance of one.
 * @throws OAuthError `invalid_request`
 * @see RFC 8693 §4.4
 */
export async function requestedMayAct(deps: Deps, { agent, asOf }: Client, form: Form): Promise<MayAct | undefined> {
  const named = single(form, 'may_act');
  if (named === undefined) return undefined;
  const isName = isId('agent', named) || named.startsWith('spiffe://');
  const found = isName ? await agentCalled(deps, asOf.version, agent.org, named) : undefined;
  if (!found || found.agent.status === 'retired') {
    throw new OAuthError('invalid_request', 'may_act must be the id or SPIFFE ID of an agent of the same organization');
  }
  return { sub: found.instance?.spiffeId ?? spiffeId(deps.config, found.agent), iss: deps.config.issuer };
}
