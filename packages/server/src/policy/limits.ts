/** What permits limit (`@limit_…`), held against the request that they permit: whose limits it is outside of. */
import { type ContextDimension, contextRefusal, formatHours, type TokenContext } from '@bailiwick/protocol';
import { localTime } from './local-time.ts';
import type { Determining, PolicyAnswer, PolicyContext } from './request.ts';

/** A permit, and what of its limits the request isn't within. */
export interface Outside {
  statement: Determining;
  context: TokenContext;
  dimension: ContextDimension;
}

type Seen = Pick<PolicyContext, 'address' | 'country' | 'zone' | 'at'>;

/** The permits that decide, as far as the request itself is outside of what they are limited to; none where it isn't allowed anyway. */
export function outsideOf(answer: PolicyAnswer, seen: Seen): Outside[] {
  if (answer.decision !== 'allow' || answer.limits.context === undefined) return [];
  const presenter = {
    address: seen.address,
    get country() {
      return seen.country;
    },
    get zone() {
      return seen.zone?.name;
    },
    now: seen.at,
  };
  return answer.determining.flatMap((statement) => {
    const context = statement.limits?.context;
    const dimension = contextRefusal(context, presenter);
    return context && dimension ? [{ statement, context, dimension }] : [];
  });
}

/** The answer as it counts: what is permitted within limits that the request is outside of is denied, by whose limits these are. */
export function withinLimits(answer: PolicyAnswer, seen: Seen): PolicyAnswer {
  const outside = outsideOf(answer, seen);
  if (outside.length === 0) return answer;
  const limits = { context: undefined, lifetimeSeconds: undefined };
  return { ...answer, decision: 'deny', determining: outside.map(({ statement }) => statement), limits };
}

/** Whose limits they are, what they say, and what was seen instead, for people: `limited by policy nights/hours: …; it was Mon 03:22 there`. */
export function outsideInWords(outside: readonly Outside[], seen: Seen): string {
  return outside
    .map(({ statement, context, dimension }) => {
      const [limit, instead] = wordsOf(context, dimension, seen);
      return `limited by policy ${statement.policy}: ${limit}; ${instead}`;
    })
    .join('; ');
}

function wordsOf(context: TokenContext, dimension: ContextDimension, seen: Seen): [limit: string, instead: string] {
  switch (dimension) {
    case 'hours': {
      const hours = context.hours ?? [];
      const there = [...new Set(hours.map(({ tz }) => `it was ${clockAt(seen.at, tz)} there`))];
      return [
        hours.map(formatHours).join(' and '),
        there.length === 1 ? there.join() : `it was ${clockAt(seen.at)} UTC`,
      ];
    }
    case 'ip':
      return [`from ${context.ip?.join(', ')}`, cameFrom(seen.address)];
    case 'country':
      return [`in the country ${context.country?.join(' or ')}`, cameFrom(seen.country)];
    case 'zone':
      return [`in the zone ${context.zone?.join(' or ')}`, cameFrom(seen.zone?.name)];
  }
}

const cameFrom = (where: string | undefined) =>
  where === undefined ? 'from where it came is not known' : `it came from ${where}`;

/** `Mon 03:22` @param at milliseconds */
function clockAt(at: number, timeZone = 'UTC'): string {
  const { weekday, hour, minute } = localTime(at, timeZone);
  const two = (number: number) => String(number).padStart(2, '0');
  return `${weekday.charAt(0).toUpperCase()}${weekday.slice(1)} ${two(hour)}:${two(minute)}`;
}
