import type { Binding, Client, Form, RequestContext, TokenPlan } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';

/** What a grant is given: the parsed request, whose client is authenticated and whose proof of possession holds. */
export interface GrantRequest {
  form: Form;
  binding: Binding | undefined;
  context: RequestContext;
}

/** One way to a token. It reads and plans; it can't sign, store or log. */
export interface Grant {
  /** `grant_type` */
  type: string;
  /** The parameters that it reads, for the documentation. */
  parameters: readonly string[];
  /** @throws OAuthError as the grant's RFC tells */
  plan(deps: Deps, client: Client, request: GrantRequest): Promise<TokenPlan>;
}
