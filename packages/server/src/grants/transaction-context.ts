/** What a transaction is about, and what it began in: told by the service at the edge, and by those behind it, who can add and change nothing. */
import {
  type AccessTokenClaims,
  addedToContext,
  type JsonObject,
  ProtocolError,
  parseTransactionContext,
  type TransactionClaims,
} from '@bailiwick/protocol';
import type { Form, PlannedTransaction } from '../decide/plan.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { single } from '../tokens/form.ts';

/**
 * `tctx` and `rctx` of a new token. What its access token was granted in detail stands in `tctx` by our own word: details mean what the resource
 * says that they are for, so they are told inside, and grant nothing there.
 * @throws OAuthError `invalid_request`
 * @see RFC 9396 §2
 */
export function contextsOf(
  form: Form,
  { authorization_details, tctx, rctx }: Pick<AccessTokenClaims, 'authorization_details'> & Partial<TransactionClaims>,
): Pick<PlannedTransaction, 'tctx' | 'rctx'> {
  try {
    const said = parsed(form, 'request_details');
    const isNew = tctx === undefined || !Object.hasOwn(tctx, 'authorization_details');
    if (isNew && said && Object.hasOwn(said, 'authorization_details')) {
      throw new ProtocolError(
        'bad_context',
        'request_details must not say authorization_details: those of the token go on',
      );
    }
    const granted = authorization_details && { authorization_details };
    return {
      tctx: addedToContext(addedToContext(tctx, granted, 'authorization_details'), said, 'request_details'),
      rctx: addedToContext(rctx, parsed(form, 'request_context'), 'request_context'),
    };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new OAuthError('invalid_request', error.message);
  }
}

function parsed(form: Form, name: 'request_context' | 'request_details'): JsonObject | undefined {
  const text = single(form, name);
  return text === undefined ? undefined : parseTransactionContext(text, name);
}
