/**
 * Who may, what may be reached, what may be done: only what an evaluation at this moment would allow.
 * @see AuthZEN 1.0 §8
 */
import type { AuditEvent } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import { pauses } from '../lib/pauses.ts';
import type { Asking } from './asking.ts';
import { type Candidate, candidatesOf } from './candidates.ts';
import { nextToken, type PageStart, pageStart, searchName } from './cursor.ts';
import { evaluate } from './evaluate.ts';
import { readSearch, type Search, type SearchKind } from './question.ts';

/** How many candidates one request looks at: a page can be shorter than it may be, and still not be the last. */
const mostLookedAt = 500;
/** So many are fetched together. */
const atOnce = 50;

/** `page` first, as §8.3 recommends. */
export interface SearchAnswer {
  page?: { next_token: string; count: number };
  results: readonly Candidate['shown'][];
}

export interface Searched {
  answer: SearchAnswer;
  event: AuditEvent;
  owner: string;
}

/**
 * Answers one page of a search; writes nothing.
 * @throws Problem 400 for a search that can't be read, or a page of another one
 */
export async function search(deps: Deps, asking: Asking, kind: SearchKind, body: unknown): Promise<Searched> {
  const asked = readSearch(kind, body);
  const { org } = asking.agent;
  const start = pageStart(searchName([org, kind, ...searched(kind, asked)]), asked.page);
  const candidates = await (candidatesOf[kind] as (typeof candidatesOf)['subject'])(deps, asking, asked as never);
  const { found, next } = await lookThrough(deps, asking, candidates, start);
  const results = found.map(({ shown }) => shown);
  const { owner } = asking.agent;
  return {
    answer: {
      ...((asked.page || next !== '') && { page: { next_token: next, count: results.length } }),
      results,
    },
    event: {
      type: 'access.searched',
      outcome: 'allowed',
      org,
      agent: asking.agent.id,
      resource: asking.only?.identifier,
      trace: asked.context.trace ?? asking.caller.trace,
      decided_on: {
        registry: asking.caller.asOf.version,
        results: results.length,
        rev: asking.caller.asOf.rev,
        search: kind,
      },
      personal: { owner, address: asking.caller.address, details: { search: searched(kind, asked).slice(0, 3) } },
    },
    owner,
  };
}

/** What makes a search the same as another: the id of what is searched for means nothing. The context comes last. */
function searched(kind: SearchKind, asked: Search<SearchKind>): unknown[] {
  const { subject, resource } = asked;
  const { trace: _, ...context } = asked.context;
  const action = 'action' in asked ? asked.action : null;
  const sought = ({ type, properties }: typeof subject) => ({ type, properties });
  return [
    kind === 'subject' ? sought(subject) : subject,
    action,
    kind === 'resource' ? sought(resource) : resource,
    context,
  ];
}

async function lookThrough(
  deps: Deps,
  asking: Asking,
  candidates: Awaited<ReturnType<(typeof candidatesOf)['subject']>>,
  start: PageStart,
): Promise<{ found: Candidate[]; next: string }> {
  const found: Candidate[] = [];
  let { after } = start;
  const pause = pauses();
  for (let seen = 0; seen < mostLookedAt; ) {
    const some = await candidates(after, atOnce);
    for (const candidate of some) {
      if (found.length === start.limit) return { found, next: nextToken(start, after ?? '') };
      await pause();
      const { decision } = await evaluate(deps, asking, candidate.question);
      if (decision) found.push(candidate);
      after = candidate.place;
      seen += 1;
    }
    if (some.length < atOnce) return { found, next: '' };
  }
  return { found, next: nextToken(start, after ?? '') };
}
