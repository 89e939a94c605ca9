import { ProtocolError, parseContext, type TokenContext } from '@bailiwick/protocol';
import type { Form } from '../decide/plan.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { single } from '../tokens/form.ts';

/** JSON with all lists full is not half as long. */
const longest = 16_384;

/**
 * Where the token is to be used at most, as the request says: `ctx`, a JSON object of the shape of the claim. It narrows, and never widens.
 * @throws OAuthError `invalid_request` naming the member that can't be read
 */
export function requestedContext(form: Form): TokenContext | undefined {
  const text = single(form, 'ctx');
  if (text === undefined) return undefined;
  try {
    return parseContext(text.length <= longest ? JSON.parse(text) : undefined);
  } catch (error) {
    if (error instanceof ProtocolError) throw new OAuthError('invalid_request', `ctx: ${error.message}`);
    throw new OAuthError('invalid_request', 'ctx must be JSON');
  }
}
