/** A key shown by a certificate request. @see RFC 2986 */
import type { Agent } from '../agents/agent.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { ProvenKey } from './proof.ts';

/** @throws OAuthError `invalid_request` */
export async function keyOfRequest(_deps: Deps, _csr: string, _agent: Agent): Promise<ProvenKey> {
  throw new OAuthError('invalid_request', 'csr is not understood yet: send a DPoP proof');
}
