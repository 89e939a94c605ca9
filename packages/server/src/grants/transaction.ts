/**
 * A service that was called from outside goes on inside of the trust domain by a transaction token, and the token that it was called with stays where it
 * was shown. Whose it is and who acts stays as it was, all the way in: who requests a transaction token is no actor, and stands in `req_wl`.
 * @see draft-ietf-oauth-transaction-tokens §"Txn-Token Request", RFC 8693 §2.1
 */
import { mostRequesters } from '@bailiwick/protocol';
import type { Client, Form, TokenPlan } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Resource } from '../resources/resource.ts';
import { spiffeId } from '../tokens/claims.ts';
import type { GrantRequest } from './grant.ts';
import { namedScope, resourceById } from './target.ts';
import { exchangeGrantType, subjectToken, transactionSubjects } from './token-types.ts';
import { contextsOf } from './transaction-context.ts';
import { type ShownSubject, shownSubject } from './transaction-subject.ts';

/** What a request for one has beside what every exchange has. */
export const transactionParameters = ['request_context', 'request_details'] as const;

/** What bounds an access token, and would seem to bound this one. */
const notTaken = ['actor_token', 'actor_token_type', 'authorization_details', 'ctx', 'may_act', 'task'] as const;

/**
 * Plans a transaction token: the first of a transaction, in exchange for the access token that the client was called with, or one that replaces another.
 * @throws OAuthError `invalid_request`, `invalid_target`, `invalid_scope`
 */
export async function planTransaction(
  deps: Deps,
  client: Client,
  { form, binding }: Pick<GrantRequest, 'form' | 'binding'>,
): Promise<TokenPlan> {
  const unfit = notTaken.find((name) => form.has(name));
  if (unfit) throw new OAuthError('invalid_request', `${unfit} says nothing of a transaction token: leave it out`);
  mustBeOurDomain(deps, form); // audience: required
  const scope = namedScope(form); // scope: required
  if (!scope) throw new OAuthError('invalid_request', 'scope is missing: say what the transaction is for');
  const { type, token } = subjectToken(form, transactionSubjects);
  const shown = await shownSubject(deps, client, type, token);
  const { claims, before } = shown;
  if (before.length >= mostRequesters) {
    throw new OAuthError('invalid_request', 'subject_token was replaced too often: a transaction is no session');
  }
  const resources = await destinations(deps, client, form, shown);
  return {
    grantType: exchangeGrantType,
    client,
    subject: claims.sub,
    resource: shown.resource,
    scope,
    details: [],
    delegation: {
      subjectProfile: claims.sub_profile,
      person: claims.sub_profile === 'user' ? claims.sub : undefined,
      act: claims.act,
      before: shown.actors,
      isOwn: false,
      mandate: claims.mandate,
      rule: claims.issuer_rule,
      exchanged: claims.jti,
      // who requests it stands in no claim that is known to end it
      links: [...shown.restsOn, client.agent.id, ...(client.instance ? [client.instance.id] : [])],
      tags: shown.tags,
      bounds: [
        {
          by: 'subject_token',
          scope: claims.scope ? claims.scope.split(' ') : [], // what is not known of it is not unbounded
          details: [],
          context: shown.context,
          endsAt: Math.min(claims.exp * 1000, ...shown.line.map(({ endsAt }) => endsAt)),
        },
      ],
      rootRoles: undefined,
      takes: [], // what mandates count was taken by the token that it comes of
      narrowed: [],
    },
    transaction: {
      txn: shown.txn,
      acting: {
        client_id: claims.client_id,
        ...(claims.instance !== undefined && { instance: claims.instance }),
        ...(claims.task && { task: claims.task }),
      },
      requesters: [...before, client.instance?.spiffeId ?? spiffeId(deps.config, client.agent)],
      ...contextsOf(form, claims),
      resources,
    },
    task: undefined,
    context: undefined,
    binding: undefined, // the token is not, and a proof that came with the request is spent like any
    spends: [...client.proofs, ...(binding?.proofs ?? [])],
  };
}

/** One trust domain, ours: a deployment is one. @throws OAuthError `invalid_target` */
function mustBeOurDomain({ config }: Deps, form: Form): void {
  const named = (form.get('audience') ?? []).filter((each) => each !== '');
  if (named.length === 1 && named[0] === config.trust_domain) return;
  throw new OAuthError('invalid_target', 'audience must be the trust domain of this server, once');
}

/**
 * Which resources will take it: of those that the transaction may come to the ones that `resource` names, else all that are there.
 * @throws OAuthError `invalid_target`
 * @see RFC 8707 §2
 */
async function destinations(
  deps: Deps,
  client: Client,
  form: Form,
  { reaches }: Pick<ShownSubject, 'reaches'>,
): Promise<string[]> {
  const found = await Promise.all(reaches.map((id) => resourceById(deps, client, id)));
  const open = found.filter((each): each is Resource => each?.org === client.agent.org && each.status === 'active');
  const named = new Set((form.get('resource') ?? []).filter((identifier) => identifier !== ''));
  const wanted = named.size === 0 ? open : open.filter(({ identifier }) => named.has(identifier));
  if (wanted.length < named.size)
    throw new OAuthError('invalid_target', 'this transaction can not come to that resource');
  if (wanted.length > 0) return wanted.map(({ id }) => id);
  throw new OAuthError('invalid_target', 'this transaction can come to no resource', {
    reason: 'the resource that was called names none that is active (token.transactions)',
  });
}
