/**
 * A client that shows nothing but the certificate of its connection and its `client_id`: whichever kind of credential it
 * has registered decides. Everybody who fails hears the same, after near the same work.
 */
import { ProtocolError } from '@bailiwick/protocol';
import type { Config } from '../config.ts';
import type { Client, PresentedCertificate } from '../decide/plan.ts';
import type { Deps } from '../deps.ts';
import { OAuthError } from '../lib/oauth-error.ts';
import type { Work } from '../lib/x509-verify.ts';
import type { Counter } from '../liveness/liveness.ts';
import { verifyNothing } from './dummy.ts';
import { failed } from './failed.ts';
import { type Registration, registrationOf } from './registration.ts';
import { selfSignedTlsClientAuth } from './self-signed-tls-client-auth.ts';
import { spiffeX509 } from './spiffe-x509.ts';
import { tlsClientAuth } from './tls-client-auth.ts';

/** Who says that they are `clientId`, and what they have shown. */
export interface Shown {
  clientId: string;
  certificate: PresentedCertificate;
  asOf: Counter;
  /** What was done for this request so far. */
  work: Work;
}

/** A client without what is the same of each that a certificate has proven. */
export type Proven = Omit<Client, 'method' | 'proofs' | 'asOf'>;

export interface CertificateAuthentication {
  method: string;
  /**
   * Whom the certificate proves; undefined where this way is not the client's.
   * @throws ProtocolError, OAuthError `invalid_client`: what is wrong with the certificate, for the log
   */
  prove(deps: Deps, shown: Shown, registration: Registration | undefined): Promise<Proven | undefined>;
}

const ways = [
  tlsClientAuth,
  selfSignedTlsClientAuth,
  spiffeX509,
] as const satisfies readonly CertificateAuthentication[];

/** The methods by which a certificate proves a client, where a certificate can be seen at all. */
export function certificateMethods(config: Pick<Config, 'mtls'>): string[] {
  return certificatesAreSeen(config) ? ways.map(({ method }) => method) : [];
}

/** Whether anybody tells us of client certificates: our own listener, or a proxy of the configuration. */
export const certificatesAreSeen = ({ mtls }: Pick<Config, 'mtls'>): boolean => mtls.enabled || mtls.proxies.length > 0;

/**
 * The agent, or the instance of it, that the certificate proves.
 * @throws OAuthError `invalid_client`
 * @see RFC 8705 §2
 */
export async function authenticateByCertificate(deps: Deps, asked: Omit<Shown, 'work'>): Promise<Client> {
  const shown: Shown = { ...asked, work: { signatures: 0 } };
  const registration = await registrationOf(deps, shown.asOf, shown.clientId);
  const reasons: string[] = [];
  let client: Client | undefined;
  // all of them, whatever the first says: how long it takes must not tell what a client has registered
  for (const way of ways) {
    try {
      const proven = await way.prove(deps, shown, registration);
      if (proven)
        client ??= {
          ...proven,
          provenUntil: proven.credentialEndsAt,
          method: way.method,
          proofs: [],
          asOf: shown.asOf,
        };
    } catch (error) {
      reasons.push(`${way.method}: ${reasonOf(error)}`);
    }
  }
  if (client) return client;
  if (shown.work.signatures === 0) verifyNothing();
  throw failed(reasons[0] ?? (registration ? 'no credential for this certificate' : 'unknown client'));
}

/** Codes and our own words alone: nothing that a client wrote comes into the log. */
function reasonOf(error: unknown): string {
  if (error instanceof ProtocolError) return error.code;
  if (error instanceof OAuthError && error.code === 'invalid_client') return error.reason;
  throw error;
}
