/**
 * Where a token may be used: within what its agent's registration, the instance that asks, whoever lets it act for them and the request all allow. And where it is asked
 * for: nobody gets a token for a place that they aren't in.
 */
import {
  type ContextDimension,
  canonicalAddress,
  contextRefusal,
  narrowed,
  type Presenter,
  ProtocolError,
  type TokenContext,
} from '@bailiwick/protocol';
import type { Agent } from '../agents/agent.ts';
import { type Instance, vouchedZone } from '../agents/instance.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { PolicyContext } from '../policy/request.ts';
import type { RequestContext, TokenPlan } from './plan.ts';

/** Where a request comes from. Country and zone are looked up when somebody reads them. */
export interface SeenPlace {
  /** In its canonical form; undefined where a proxy doesn't say. */
  readonly address: string | undefined;
  readonly country: string | undefined;
  /**
   * By the configured networks of zones; else the one that the instance which asks is vouched to be in, unless that one's networks are
   * configured: then it isn't there.
   */
  readonly zone: PolicyContext['zone'];
}

/** How the sentence for the client calls what it is outside of: it says where not to be, and nothing of where to be. */
export const outside: Record<ContextDimension, string> = {
  ip: 'from this address',
  country: 'from the country of this address',
  zone: 'from this zone',
  hours: 'at this hour',
};

/**
 * What the token will be limited to, and where the request was seen to come from.
 * @throws OAuthError `access_denied` where nothing is allowed by all, or the request itself comes from outside of it
 */
export function placeOf(
  deps: Pick<Deps, 'places'>,
  { client: { agent, instance }, context: asked, delegation }: Pick<TokenPlan, 'client' | 'context' | 'delegation'>,
  request: RequestContext,
): { context: TokenContext | undefined; seen: SeenPlace } {
  const seen = seenPlace(deps, request.address, instance);
  const registered = narrowedOrDenied(agent.context, instance && boundPlace(deps, agent, instance));
  let context = narrowedOrDenied(registered, asked);
  for (const bound of delegation?.bounds ?? []) context = narrowedOrDenied(context, bound.context);
  mustBeInside(context, seen, request.at);
  return { context, seen };
}

/**
 * Narrows once more, as policy says.
 * @throws OAuthError `access_denied` where nothing is allowed by all
 */
export function narrowedOrDenied(a: TokenContext | undefined, b: TokenContext | undefined): TokenContext | undefined {
  try {
    return narrowed(a, b);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('access_denied', 'there is no place and time at which this token could be used', {
      reason: `no place left: ${error.message}`,
    });
  }
}

/**
 * @param at milliseconds
 * @param what the sentence for the client begins with
 * @throws OAuthError `access_denied`
 */
export function mustBeInside(
  context: TokenContext | undefined,
  seen: SeenPlace,
  at: number,
  what = 'this token may not be used',
): void {
  const dimension = contextRefusal(context, presenterOf(seen, at));
  if (dimension === undefined) return;
  throw new OAuthError('access_denied', `${what} ${outside[dimension]}`, {
    reason: `asked for outside of its context: ${dimension}`,
    decidedOn: { outside: dimension },
  });
}

/**
 * What an instance does for itself, renewing or having children, it does where its tokens may be used: else whoever had found its
 * key could bind it to another place.
 * @throws OAuthError `access_denied`
 */
export function mustBeWhereBound(
  deps: Pick<Deps, 'places'>,
  agent: Pick<Agent, 'instances'>,
  instance: Pick<Instance, 'attributes'>,
  request: RequestContext,
): void {
  const bound = boundPlace(deps, agent, instance);
  mustBeInside(bound, seenPlace(deps, request.address, instance), request.at, 'this instance can not act');
}

/** What a place is held against limits as. @param now milliseconds */
export function presenterOf(seen: SeenPlace, now: number): Presenter {
  return {
    address: seen.address,
    get country() {
      return seen.country;
    },
    get zone() {
      return seen.zone?.name;
    },
    now,
  };
}

/**
 * What is seen of somebody.
 * @param address as it was observed, or `unknown`
 * @param instance what asks, or the zone that a token says it is vouched to be in
 */
export function seenPlace(
  { places }: Pick<Deps, 'places'>,
  address: string | undefined,
  instance: Pick<Instance, 'attributes'> | string | undefined,
): SeenPlace {
  const plain = address === undefined ? undefined : canonicalAddress(address);
  return {
    address: plain,
    get country() {
      return plain === undefined ? undefined : places.countryOf(plain);
    },
    get zone(): PolicyContext['zone'] {
      const observed = plain === undefined ? undefined : places.zoneOf(plain);
      if (observed !== undefined) return { name: observed, provenance: 'observed' };
      const vouched = typeof instance === 'object' ? vouchedZone(instance) : instance;
      return vouched === undefined || places.knowsZone(vouched) ? undefined : { name: vouched, provenance: 'attested' };
    },
  };
}

/**
 * What the template of an agent's instances limits the tokens of this one to, by what was known when it enrolled.
 * @throws OAuthError `access_denied` where that isn't known
 */
export function boundPlace(
  deps: Pick<Deps, 'places'>,
  { instances: { bind } }: Pick<Agent, 'instances'>,
  instance: Pick<Instance, 'attributes'>,
): TokenContext | undefined {
  if (bind === undefined || bind.length === 0) return undefined;
  const enrolled = seenPlace(deps, instance.attributes.address?.value, instance);
  return {
    ...(bind.includes('address') && { ip: [known('address', enrolled.address)] }),
    ...(bind.includes('country') && { country: [known('country', enrolled.country)] }),
    ...(bind.includes('zone') && { zone: [known('zone', enrolled.zone?.name)] }),
  };
}

function known(what: string, value: string | undefined): string {
  if (value !== undefined) return value;
  throw new OAuthError(
    'access_denied',
    `instances of this agent are bound to their ${what}, and that of this one is not known`,
  );
}
