import type { Agent, TokenInfo } from './agent.ts';
import type { TokenWishes } from './asked.ts';
import type { AgentRequestInit } from './call.ts';

/** Wishes for some of certain scopes: what isn't among them can't be written. */
export type WishesWithin<Scope extends string> = Omit<TokenWishes, 'scope'> & { scope?: readonly Scope[] };

/** What is wished of the tokens of somebody's authority, and for which API. */
export type OnBehalfWishes<Scope extends string> = WishesWithin<Scope> & {
  /** The one API that is called. Left out, the agent's, or it is found for each URL. */
  resource?: string;
  /** An access token of the agent itself, by the same key: says which of its copies acts, where that is asked for. */
  actorToken?: string;
};

/**
 * An agent that acts for somebody. Each of its tokens is got by presenting the mandate (or the token) anew, names the person and everybody
 * who acts, and ends with any of them.
 */
export interface OnBehalf<Scope extends string = string> {
  /** `fetch`, with a token that is found, bound, kept and renewed behind the scenes. */
  readonly fetch: (
    input: string | URL | Request,
    init?: Omit<AgentRequestInit, 'scope'> & { scope?: readonly Scope[] },
  ) => Promise<Response>;
  /** Gets a token and says what it is, and what it has less of than it could. Calling an API takes only `fetch`. */
  token(wanted?: OnBehalfWishes<Scope>): Promise<TokenInfo>;
  /** The same with other wishes, never for more. */
  with<Less extends Scope = Scope>(wishes: WishesWithin<Less>): OnBehalf<Less>;
}

/** What of an agent is for acting on the authority that it asks its tokens on. */
export function onBehalf(agent: Agent): OnBehalf {
  const { fetch, token } = agent;
  return Object.freeze({ fetch, token, with: (wishes: WishesWithin<string>) => onBehalf(agent.with(wishes)) });
}
