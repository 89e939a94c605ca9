/** What of a mandate may be passed on, and to whom: never more than each mandate of its line allows, and once less deep. */
import {
  type ComparedType,
  commonPower,
  type Excess,
  excessOf,
  type Power,
  type PowerLimits,
  ProtocolError,
} from '@bailiwick/protocol';
import { rfc3339 } from '../lib/clock.ts';
import { Unfit } from '../lib/unfit.ts';
import type { Mandate } from './mandate.ts';

/** What bounds what is passed on, and what messages call it. */
export interface Bound {
  by: string;
  power: Power;
}

/** What is wanted of it: of what isn't named, all that there is, but not to be passed on again. */
export type WantedPart = Partial<Omit<Power, 'passing'>> & { passing?: Partial<Power['passing']> | undefined };

/** To whom it is to come: an agent of the same organization, or one running copy of an agent. */
export interface Receiver {
  agent: string;
  instance?: { id: string; ancestors: readonly string[] } | undefined;
}

type TypesOf = (resource: string) => readonly ComparedType[];

/**
 * What each mandate of a line leaves to whoever is given a part of the first.
 * @param line the mandate first, then its ancestors up to the root
 * @param leftOf what is left of what a mandate limits: each counts what is done with all that comes of it
 */
export function boundsOf(line: readonly Mandate[], leftOf: (mandate: Mandate) => PowerLimits): Bound[] {
  return line.map((mandate, above) => ({
    by: `mandate ${mandate.id}`,
    power: {
      ...mandate,
      limits: leftOf(mandate),
      passing: { ...mandate.passing, depth: mandate.passing.depth - above - 1 },
    },
  }));
}

/**
 * The part that is passed on: what was named and, of what wasn't, all that the bounds allow together.
 * @throws Unfit naming the field and the bound that doesn't allow it
 */
export function partOf(bounds: readonly Bound[], wanted: WantedPart, typesOf: TypesOf): Power {
  const used = bounds.find(({ power }) => power.passing.depth < 0);
  if (used) throw new Unfit('parent', `can not be passed on: ${used.by} may not come any deeper`);
  const all = inCommon(bounds, typesOf);
  const part: Power = {
    resources: wanted.resources ?? all.resources,
    context: wanted.context ? { ...all.context, ...wanted.context } : all.context,
    task: wanted.task ? { ...all.task, ...wanted.task } : all.task,
    limits: wanted.limits ? limitsOf(all.limits, wanted.limits) : all.limits,
    passing: { ...all.passing, depth: 0, ...wanted.passing },
    endsAt: wanted.endsAt ?? all.endsAt,
  };
  for (const { by, power } of bounds) {
    const [beyond] = excessOf(part, power, typesOf);
    if (beyond) throw new Unfit(fieldOf(beyond, part), `is more than ${by} allows${saying(beyond, power)}`);
  }
  mustLeaveSomething(part);
  return part;
}

/** What was named, and of amounts that weren't what is left of them. */
function limitsOf(all: PowerLimits, wanted: PowerLimits): PowerLimits {
  const named = wanted.amounts ?? [];
  const others = (all.amounts ?? []).filter(
    ({ type, amount }) => !named.some((each) => each.type === type && each.amount === amount),
  );
  const amounts = [...named, ...others];
  return { ...all, ...wanted, ...(amounts.length > 0 && { amounts }) };
}

function inCommon(bounds: readonly Bound[], typesOf: TypesOf): Power {
  try {
    return bounds.map(({ power }) => power).reduce((one, other) => commonPower(one, other, typesOf));
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new Unfit('parent', `can not be passed on: ${error.message}`);
  }
}

function mustLeaveSomething({ resources, limits: { uses, amounts = [] } }: Power): void {
  if (resources.length === 0) throw new Unfit('parent', 'can not be passed on: nothing is left that its line allows');
  const spent = uses === 0 ? 'uses' : amounts.find(({ total }) => total <= 0)?.type;
  if (spent !== undefined) throw new Unfit('parent', `can not be passed on: nothing is left of its limit of ${spent}`);
}

function fieldOf(beyond: Excess, { resources, limits }: Power): string {
  switch (beyond.what) {
    case 'resource':
      return `resources[${resources.findIndex(({ resource }) => resource === beyond.value)}].resource`;
    case 'scope':
    case 'authorization_details':
      return `resources[${resources.findIndex(({ resource }) => resource === beyond.resource)}].${beyond.what}`;
    case 'limits': {
      const { value } = beyond;
      if (value === 'uses') return 'limits.uses';
      const index = (limits.amounts ?? []).findIndex(
        ({ type, amount }) => type === value.type && amount === value.amount,
      );
      return index < 0 ? 'limits.amounts' : `limits.amounts[${index}]`;
    }
    case 'lifetime':
      return 'expires_in';
    default:
      return `${beyond.what}.${beyond.value}`;
  }
}

/** What would have been right, where a word says it. */
function saying(beyond: Excess, { limits, passing, endsAt }: Power): string {
  if (beyond.what === 'scope') return ` on this resource: ${beyond.value.join(' ')}`;
  if (beyond.what === 'limits') return `: ${beyond.value === 'uses' ? limits.uses : beyond.value.total} are left`;
  if (beyond.what === 'lifetime') return `: it ends at ${rfc3339(endsAt)}`;
  return beyond.what === 'passing' && beyond.value === 'depth' ? `: ${passing.depth} is left` : '';
}

/**
 * Whether it may come to somebody: nobody stands in a line twice, but whoever holds it may give a part to running copies of its own.
 * @param line the mandate first, then its ancestors up to the root
 * @throws Unfit naming the field
 */
export function mayComeTo(line: readonly Mandate[], { agent, instance }: Receiver): void {
  const [held] = line;
  const field = instance === undefined ? 'agent' : 'instance';
  if (agent === held?.agent) {
    if (instance === undefined) throw new Unfit(field, 'holds it already: name an instance, or another agent');
    if (held.instance === undefined || instance.ancestors.includes(held.instance)) return;
    throw new Unfit(field, 'must be a child of the instance that holds it, or an instance of another agent');
  }
  const before = line.find((each) => each.agent === agent);
  if (before) throw new Unfit(field, `must not be in its line already: mandate ${before.id} is this agent's`);
  const closed = line.find(({ passing }) => passing.to?.includes(agent) === false);
  if (closed) throw new Unfit(field, `must be among those to whom mandate ${closed.id} may come`);
}
