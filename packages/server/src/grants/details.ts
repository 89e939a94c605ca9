/** What a request asks for beyond scopes. @see RFC 9396 */
import { type AuthorizationDetail, canonicalJson, ProtocolError, parseDetails } from '@bailiwick/protocol';
import type { Form } from '../decide/plan.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import { checkDetails } from '../resources/details-schema.ts';
import type { Resource } from '../resources/resource.ts';
import { single } from '../tokens/form.ts';

const parameter = 'authorization_details';

/**
 * The details that a request names: each of a type that the resource has and valid for it, each once. Whether any role gives them is decided later.
 * @throws OAuthError `invalid_authorization_details` naming number and member, `invalid_request` for the parameter sent twice
 * @see RFC 9396 §5
 */
export async function requestedDetails(resource: Resource, form: Form): Promise<readonly AuthorizationDetail[]> {
  const text = single(form, parameter);
  if (text === undefined) return [];
  try {
    const details = parseDetails(text);
    await checkDetails(resource.detailsTypes, details, parameter);
    const seen = new Set<string>();
    for (const [index, detail] of details.entries()) {
      const known = seen.size;
      if (seen.add(canonicalJson(detail)).size === known) throw repeated(index);
    }
    return details;
  } catch (error) {
    if (error instanceof ProtocolError) throw new OAuthError('invalid_authorization_details', error.message);
    throw error;
  }
}

const repeated = (index: number) => new ProtocolError('bad_details', `${parameter}[${index}] is there already`);
