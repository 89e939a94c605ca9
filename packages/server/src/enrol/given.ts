/** How every enrolment and renewal ends: sign its documents, and the token if one was asked for; one transaction; answer. */
import type { Deps } from '../deps.ts';
import { changed } from '../tokens/issue.ts';
import { answerOf, documentsFor, type InstanceAnswer, tokenFor } from './answer.ts';
import type { Wanted } from './body.ts';
import type { ProvenKey } from './proof.ts';
import { type Settlement, settleInstance } from './settle.ts';

/**
 * Gives what was planned, or answers `changed` if it must be planned again.
 * @throws OAuthError as `documentsFor`, `tokenFor` and `settleInstance`
 */
export async function given(
  deps: Deps,
  planned: Omit<Settlement, 'token' | 'x5t'> & { key: ProvenKey },
  wanted: Wanted,
): Promise<InstanceAnswer | typeof changed> {
  const { client, instance, key, context } = planned;
  const documents = await documentsFor(deps, client, { instance, key }, wanted);
  const x5t = documents.x509?.x5t;
  const token = wanted.token && (await tokenFor(deps, client, { instance, key, x5t }, wanted.token, context));
  if ((await settleInstance(deps, { ...planned, token, x5t })) === changed) return changed;
  return answerOf(instance, documents, token);
}
