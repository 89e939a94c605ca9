/**
 * An agent acts on the authority of another: it shows a mandate, or a token of ours, and gets a token in which both stand. Delegation alone: there is
 * always an `act`, but where an agent gets a narrower token for itself. Nothing becomes wider on the way, and each link that bounds it is asked.
 * @see RFC 8693, draft-mcguinness-oauth-actor-profile, RFC 8707 §2, RFC 9396 §6
 */
import { allThatIsLeft, type Sieve } from '../decide/delegated.ts';
import { typesBehind } from '../decide/in-effect.ts';
import type { Client, TokenPlan } from '../decide/plan.ts';
import { rolesHeld } from '../decide/registered.ts';
import type { Deps } from '../deps.ts';
import { onAuthorityOf } from '../lib/oauth-error.ts';
import { takesOf } from '../mandates/takes.ts';
import { requestedActor } from './actor.ts';
import { requestedContext } from './context.ts';
import { requestedDetails } from './details.ts';
import type { Grant, GrantRequest } from './grant.ts';
import { instanceBoundsOn } from './instance-bounds.ts';
import { requestedMayAct } from './may-act.ts';
import { boundsOn, rootRolesOn, type Subject } from './subject.ts';
import { isForeign, subjectOfIssuer } from './subject-issuer.ts';
import { subjectOfMandate } from './subject-mandate.ts';
import { subjectOfToken } from './subject-token.ts';
import { exchangedResource, namedScope } from './target.ts';
import { exchangedTask, taskParameters } from './task.ts';
import { asksForTransaction, exchangeGrantType, mandateType, subjectToken } from './token-types.ts';
import { planTransaction, transactionParameters } from './transaction.ts';

export const tokenExchange = {
  type: exchangeGrantType,
  parameters: [
    'resource',
    'audience',
    'scope',
    'requested_token_type',
    'subject_token',
    'subject_token_type',
    'actor_token',
    'actor_token_type',
    'authorization_details',
    'ctx',
    'may_act',
    ...transactionParameters,
    ...taskParameters,
  ],

  async plan(deps, client, { form, binding, context }) {
    if (asksForTransaction(form)) return planTransaction(deps, client, { form, binding }); // §2.1: requested_token_type
    const actor = await requestedActor(deps, client, { form, binding, context }); // §2.1: actor_token, or the client itself
    const acting = actor.client;
    const { type, token } = subjectToken(form); // §2.1: subject_token, subject_token_type
    const subject =
      type === mandateType
        ? await subjectOfMandate(deps, actor, token)
        : isForeign(deps, { type, token })
          ? await subjectOfIssuer(deps, actor, { type, token }, binding)
          : await subjectOfToken(deps, actor, token, binding); // §4.1: act, §4.4: may_act of the token
    return onAuthorityOf(subject.person, () => planOn(deps, { client, acting, subject }, { form, binding }));
  },
} as const satisfies Grant;

/** What comes of a subject: as much as every link of its chain allows. */
async function planOn(
  deps: Deps,
  { client, acting, subject }: { client: Client; acting: Client; subject: Subject },
  { form, binding }: Pick<GrantRequest, 'form' | 'binding'>,
): Promise<TokenPlan> {
  const resource = await exchangedResource(deps, acting, form, subject); // §2.1: resource, audience
  const task = await exchangedTask(deps, acting, form, subject);
  const bounds = [...boundsOn(subject, resource), ...(await instanceBoundsOn(deps, acting, subject, resource))]; // what each link of the chain allows there
  const rootRoles = await rootRolesOn(deps, acting, subject, resource);
  const details = await requestedDetails(resource, form); // RFC 9396 §6
  const named = namedScope(form) ?? (details.length > 0 ? [] : undefined); // §2.1: scope
  const held = await rolesHeld(deps, acting.asOf.version, acting.agent.id);
  const behind = typesBehind(resource.operations);
  const counts = subject.line.map((each): Sieve => [`mandate ${each.id}`, (of) => takesOf([each], of.details, behind)]);
  const asked =
    named === undefined
      ? await allThatIsLeft({ client: acting, resource, task }, { bounds, rootRoles, counts }, held)
      : { scope: named, details, narrowed: [] };
  return {
    grantType: exchangeGrantType,
    client: acting,
    subject: subject.sub,
    resource,
    scope: asked.scope,
    details: asked.details,
    delegation: {
      subjectProfile: subject.profile,
      person: subject.person,
      act: subject.act,
      before: subject.before,
      isOwn: subject.isOwn ?? false,
      mandate: subject.line[0]?.id,
      rule: subject.rule && { issuer: subject.rule.issuer, rule: subject.rule.rule },
      exchanged: subject.token?.jti,
      links: subject.links,
      tags: subject.tags,
      bounds,
      rootRoles,
      takes: takesOf(subject.line, asked.details, behind),
      narrowed: asked.narrowed,
    },
    mayAct: await requestedMayAct(deps, acting, form), // §4.4: of the new token; that of the old one is used up
    task,
    context: requestedContext(form),
    binding,
    spends: [...client.proofs, ...(binding?.proofs ?? [])],
  };
}
