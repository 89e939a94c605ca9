/**
 * What is passed from hand to hand only narrows: each link of a chain bounds what comes of it, beside the roles of whoever acts and the
 * task. What a request names and one of them doesn't allow is refused in its name. What a request doesn't name is all that they allow together.
 */
import {
  type AuthorizationDetail,
  areWithin,
  type DetailsType,
  isContextWithin,
  isWithin,
  ProtocolError,
  type TokenContext,
} from '@bailiwick/protocol';
import { OAuthError } from '../lib/oauth-error.ts';
import { checkDetails } from '../resources/details-schema.ts';
import type { HeldRole } from '../resources/role.ts';
import type { Delegation, DelegationBound, Narrowing, TokenPlan } from './plan.ts';
import { detailsWithinInstance, givenByRoles } from './roles.ts';
import { withinInstance } from './within-instance.ts';
import { taskEndsAt, withinTask } from './within-task.ts';

/** What is asked for, as far as it is held against bounds. */
type Asked = Pick<TokenPlan, 'client' | 'resource' | 'scope' | 'details' | 'task'>;
type Bounds = Pick<Delegation, 'bounds' | 'rootRoles'> & {
  /** What can't be counted, where a link counts it. */
  counts?: readonly Sieve[];
};

/**
 * Holds a plan against every link of its chain.
 * @returns ids of what else it rests on
 * @throws OAuthError `invalid_scope` or `invalid_authorization_details`, naming the link that doesn't allow it
 */
export function withinDelegation(plan: TokenPlan): readonly string[] {
  const { delegation } = plan;
  if (!delegation) return [];
  for (const bound of delegation.bounds) withinBound(plan, bound);
  return delegation.rootRoles ? givenToSubject(plan, delegation.rootRoles) : [];
}

function withinBound({ resource, scope, details }: Asked, bound: DelegationBound): void {
  const beyond = scope.filter((each) => !bound.scope.includes(each));
  if (beyond.length > 0) {
    throw new OAuthError('invalid_scope', `${bound.by} does not allow ${beyond.join(' ')} on this resource`);
  }
  const index = details.findIndex((each) => !areWithin(resource.detailsTypes, [each], bound.details));
  if (index < 0) return;
  const message = `authorization_details[${index}] is more than ${bound.by} allows on this resource`;
  throw new OAuthError('invalid_authorization_details', message);
}

/** Nobody acts for an agent where that agent couldn't act itself. */
function givenToSubject({ resource, scope, details }: Asked, held: readonly HeldRole[]): readonly string[] {
  try {
    return givenByRoles({ resource, scope, details }, held).links;
  } catch (error) {
    if (!(error instanceof OAuthError)) throw error;
    throw new OAuthError(error.code, 'the subject itself was not given that much on this resource', {
      reason: `roles of the subject: ${error.reason}`,
    });
  }
}

/** Who may say no, and how: by a refusal. */
export type Sieve = readonly [by: string, check: (asked: Asked) => unknown];

/**
 * All that everything allows together, for a request that names nothing: what the first link allows, without what another one, the task or the
 * roles don't.
 * @param held the roles of whoever acts
 * @throws OAuthError `invalid_scope` where nothing is left
 */
export async function allThatIsLeft(
  plan: Omit<Asked, 'scope' | 'details'>,
  { bounds, rootRoles, counts = [] }: Bounds,
  held: readonly HeldRole[],
): Promise<Pick<TokenPlan, 'scope' | 'details'> & { narrowed: Narrowing[] }> {
  const [first, ...others] = bounds;
  if (!first) throw new Error('a chain has a link');
  const sieves: Sieve[] = [
    ...others.map((bound): Sieve => [bound.by, (asked) => withinBound(asked, bound)]),
    ['subject', (asked) => rootRoles && givenToSubject(asked, rootRoles)],
    ['task', withinTask],
    ['instance', withinInstance],
    ['instance', detailsWithinInstance],
    ['roles', (asked) => givenByRoles(asked, held)],
    ...counts,
  ];
  const stoppedBy = (scope: string[], details: AuthorizationDetail[]) =>
    sieves.find(([, check]) => refuses(() => check({ ...plan, scope, details })))?.[0];
  const narrowed: Narrowing[] = [];
  const scope = first.scope.filter((value) => {
    const by = stoppedBy([value], []);
    if (by !== undefined) narrowed.push({ what: 'scope', value, by });
    return by === undefined;
  });
  const { detailsTypes } = plan.resource;
  const details: AuthorizationDetail[] = [];
  for (const detail of first.details) {
    const by = (await isWhole(detailsTypes, detail)) ? stoppedBy([], [detail]) : 'request';
    if (by === undefined) details.push(detail);
    else narrowed.push({ what: 'authorization_details', value: detail.type, by });
  }
  // of two bounds of which neither is within the other, what is within both may be said by a third
  const narrower = [...others.flatMap((bound) => bound.details), ...detailsOfTask(plan)];
  for (const detail of narrower) {
    const isThere = details.some((known) => isWithin(detailsTypes, detail, known));
    if (isThere || !areWithin(detailsTypes, [detail], first.details) || stoppedBy([], [detail]) !== undefined) continue;
    if (await isWhole(detailsTypes, detail)) details.push(detail);
  }
  if (scope.length > 0 || details.length > 0) return { scope, details, narrowed };
  const by = [...new Set(narrowed.map((each) => each.by))].join(', ');
  throw new OAuthError(
    'invalid_scope',
    `nothing is left of what ${first.by} allows on this resource${by === '' ? '' : `: it is not allowed by ${by}`}`,
  );
}

/** Whether it says all that a token of its type has to say: a bound may leave that to the request. */
async function isWhole(types: readonly DetailsType[], detail: AuthorizationDetail): Promise<boolean> {
  try {
    await checkDetails(types, [detail], 'a bound');
    return true;
  } catch (error) {
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

function detailsOfTask({ task, resource }: Omit<Asked, 'scope' | 'details'>): readonly AuthorizationDetail[] {
  if (task?.provenance !== 'orchestrated') return [];
  return task.task.resources?.find((each) => each.resource === resource.id)?.details ?? [];
}

function refuses(check: () => unknown): boolean {
  try {
    check();
    return false;
  } catch (error) {
    if (error instanceof OAuthError) return true;
    throw error;
  }
}

/** When the first link of the plan's chain ends (milliseconds); never, if it has none. */
export const delegationEndsAt = ({ delegation }: TokenPlan): number =>
  delegation ? Math.min(...delegation.bounds.map(({ endsAt }) => endsAt)) : Number.POSITIVE_INFINITY;

/**
 * By what a decided plan of a chain was narrowed: what was left out by its grant, and its place and lifetime.
 * @param usual when it would end (ms) if nothing but the resource had a say
 * @param limits what limits its place beside the chain, and what its lifetime: by what
 */
export function narrowedBy(
  plan: TokenPlan & { delegation: Delegation },
  {
    expiresAt,
    usual,
    ends,
    places,
  }: { expiresAt: number; usual: number; ends: By<number>[]; places: By<TokenContext>[] },
): Narrowing[] {
  const { bounds, narrowed } = plan.delegation;
  const asked = plan.context;
  const contexts: By<TokenContext>[] = [
    ...bounds.map(({ by, context }) => [by, context] as By<TokenContext>),
    ...places,
  ];
  const ending: By<number>[] = [
    ...bounds.map(({ by, endsAt }) => [by, endsAt] as By<number>),
    ['task', taskEndsAt(plan)],
    ['instance', plan.client.instance?.expiresAt],
    ...ends,
  ];
  const shortened = expiresAt < usual ? (ending.find(([, at]) => at === expiresAt)?.[0] ?? 'registration') : undefined;
  return [
    ...narrowed,
    ...contexts
      .filter(([, context]) => context !== undefined && !isContextWithin(asked, context))
      .map(([by]) => ({ what: 'context' as const, by })),
    ...(shortened === undefined ? [] : [{ what: 'lifetime' as const, by: shortened }]),
  ];
}

/** Something, and who says it. */
type By<Value> = readonly [by: string, value: Value | undefined];
