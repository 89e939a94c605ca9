/** How a drill asks this very server: through its routes, as anybody would, without the network in between. */
import type { Deps } from '../deps.ts';

export interface SelfRequest {
  method: string;
  /** As clients know it: below the issuer. */
  url: string;
  headers: Record<string, string>;
  body?: string;
}

export interface SelfAnswer {
  status: number;
  headers: Record<string, unknown>;
  body: string;
}

export type AskSelf = (request: SelfRequest) => Promise<SelfAnswer>;

const servers = new WeakMap<Deps, AskSelf>();

/** The composition root says how. */
export function answersItself(deps: Deps, ask: AskSelf): void {
  servers.set(deps, ask);
}

/** @throws Error where nothing answers, as in a command that opens the data alone */
export function askSelf(deps: Deps, request: SelfRequest): Promise<SelfAnswer> {
  const ask = servers.get(deps);
  if (!ask) throw new Error('a drill needs a running server');
  return ask(request);
}
