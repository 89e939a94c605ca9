import { createClientAssertion, type Signer } from '@bailiwick/protocol';

/** `fetch`, that may be told the SPIFFE ID which the server must prove, or that the server is the issuer's, for mutual TLS. */
export type PeerFetch = (
  url: string,
  init?: RequestInit & { peer?: string | undefined; ofIssuer?: boolean | undefined },
) => Promise<Response>;

/** What an agent proves itself with at one moment. A token keeps the identity that it was got with. */
export interface Identity {
  /** The members of a form that say and prove who asks. Nothing but `client_id` where the TLS connection proves it. */
  authenticate(at: { audience: string; now: number; jti: string }): Promise<Record<string, string>>;
  /** The key of DPoP proofs. None: tokens are bound to the certificate alone. */
  proofSigner: Signer | undefined;
  /** Are tokens asked for over mutual TLS, and bound to its certificate? */
  mutualTls: boolean;
  /** For requests with a token: presents the certificate, if there is one, to servers that ask. */
  fetch: PeerFetch;
}

const bearerAssertion = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const spiffeAssertion = 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe';

/** `private_key_jwt`. @see RFC 7523 §2.2 */
export function assertedBy(signer: Signer, clientId: string): Identity['authenticate'] {
  return async ({ audience, now, jti }) => ({
    client_id: clientId,
    client_assertion_type: bearerAssertion,
    client_assertion: await createClientAssertion(signer, { clientId, audience, now, jti }),
  });
}

/** A JWT-SVID from wherever it comes. @see draft-ietf-oauth-spiffe-client-auth */
export function assertedBySvid(svid: () => Promise<string>, clientId: string): Identity['authenticate'] {
  return async () => ({
    client_id: clientId,
    client_assertion_type: spiffeAssertion,
    client_assertion: await svid(),
  });
}

/** `tls_client_auth` and `self_signed_tls_client_auth`: the connection says the rest. @see RFC 8705 §2 */
export function provenByTls(clientId: string): Identity['authenticate'] {
  return async () => ({ client_id: clientId });
}
