/** Nobody, and nothing that acts by itself, can end the last identity that could administer the server. */
import { findSystemRole, lastingHolders, rolesOf } from '../resources/role-store.ts';
import type { Queries } from '../store/database.ts';

export class LastOperatorError extends Error {
  constructor() {
    super(
      'this is the last identity with the role operator that can act for good (not suspended, without an end or limits of place and time, with a key without an end, the grant client_credentials and the admin API among its resources): make another one first, or nobody could administer this server',
    );
    this.name = 'LastOperatorError';
  }
}

/**
 * Makes a change, and refuses it if nobody could administer the server for good any more. It is looked at afterwards, so that whatever the
 * change was, what counts is who is left; the refusal undoes it with the transaction.
 * @param agent whom it concerns; `undefined` when it concerns more than one
 * @throws LastOperatorError
 */
export async function keepingLastOperator<Result>(
  q: Queries,
  agent: string | undefined,
  change: () => Promise<Result>,
): Promise<Result> {
  const operator = await findSystemRole(q, 'operator');
  const concerned =
    operator !== undefined &&
    (agent === undefined
      ? (await lastingHolders(q, operator.id)).length > 0
      : (await rolesOf(q, agent)).some(({ role }) => role === operator.id));
  const result = await change();
  if (!concerned || (await lastingHolders(q, operator.id)).length > 0) return result;
  throw new LastOperatorError();
}
