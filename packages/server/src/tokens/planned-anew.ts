/**
 * The loop around every plan: as of when, who asks, what for; planned anew when what it rests on changes under it, and
 * whatever somebody known is refused is settled and on record.
 */
import { withinBudget } from '../decide/decide.ts';
import type { Client, Spend } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { asOf, type Counter } from '../liveness/liveness.ts';
import { changed } from './issue.ts';
import { type Refusal, refuse } from './refusal.ts';

/** How often a request is planned anew. */
const plansAtMost = 5;

export interface Road<Who extends { client: Client }, Answer> extends Pick<Refusal, 'type' | 'context'> {
  /** What was asked for, as the log can keep it. */
  asked(): Refusal['asked'];
  /** Who asks. What this throws is a failed authentication: it is counted, not written. */
  who(since: Counter): Promise<Who>;
  /** Plans and settles, or answers `changed`. What was shown goes into `spends` as soon as it is known: a refusal spends it. */
  attempt(who: Who, spends: Spend[]): Promise<Answer | typeof changed>;
}

/** @throws OAuthError for what is refused; whatever an authenticated client was refused is on record by then */
export async function plannedAnew<Who extends { client: Client }, Answer>(
  deps: Deps,
  road: Road<Who, Answer>,
): Promise<Answer> {
  for (let planned = 0; ; planned++) {
    const since = await asOf(deps.db); // as of when: liveness/
    const who = await road.who(since);
    const { client } = who;
    const spends = [...client.proofs];
    try {
      if (planned === 0) withinBudget(deps, client.agent);
      if (planned === plansAtMost) throw tooMuchChanges();
      const answer = await road.attempt(who, spends);
      if (answer !== changed) return answer;
    } catch (error) {
      const { type, context } = road;
      throw await refuse(deps, { type, client, spends, context, error, asked: road.asked() });
    }
  }
}

const tooMuchChanges = () =>
  new OAuthError('temporarily_unavailable', 'too much is changing at once; try again', { retryAfter: 1 });
