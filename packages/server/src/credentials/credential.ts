import type { JwsAlgorithm, PublicJwk } from '@bailiwick/protocol';

/** What an agent proves itself with. Each kind works by time: not before it was made, not after its end. */
export type Credential = PublicKeyCredential | OtherCredential;

export interface CredentialBase {
  id: string;
  agent: string;
  org: string;
  /**
   * What is proven, once in the whole deployment and for ever: RFC 7638 of a public key, `x5t#S256` of a certificate,
   * SHA-256 (base64url) of everything else.
   */
  thumbprint: string;
  label: string;
  createdAt: number;
  /** Milliseconds. */
  expiresAt?: number;
  lastUsedAt?: number;
  /** When what works once was used. */
  usedAt?: number;
  /** Whether it was removed for good, or its agent (`suspended`) may not act. What its end in time says stands beside. */
  status: 'active' | 'suspended' | 'removed';
}

/** The public half of a key pair whose private half never left the agent. @see RFC 7523 */
export interface PublicKeyCredential extends CredentialBase {
  kind: 'public_key';
  /** What assertions call the key: its thumbprint, unless its owner chose another name. */
  kid: string;
  alg: JwsAlgorithm;
  jwk: PublicJwk;
}

export type OtherCredential = CredentialBase & CredentialDetail;

/** What each kind needs, beside its thumbprint. */
export type CredentialDetail =
  /** One certificate, whoever issued it. @see RFC 8705 §2.2 */
  | { kind: 'certificate'; detail: { certificate: string; subject: string; not_before: number; not_after: number } }
  /** A name in certificates of one authority. @see RFC 8705 §2.1 */
  | { kind: 'certificate_subject'; detail: CertificateSubject }
  /** An identity of a foreign trust domain that stands for the agent. */
  | { kind: 'spiffe_id'; detail: { spiffe_id: string } }
  /** A shared secret, by a dated exception. */
  | { kind: 'secret'; detail: Record<string, never> }
  /** Lets one running copy enrol, once. */
  | { kind: 'enrolment_token'; detail: EnrolmentDetail };

export const subjectFields = ['subject_dn', 'san_dns', 'san_uri', 'san_ip', 'san_email'] as const;

export interface CertificateSubject {
  field: (typeof subjectFields)[number];
  value: string;
  /** PEM: who must have issued it. Without: this server's own authority. */
  ca?: string;
}

export interface EnrolmentDetail {
  /** CIDR: from where it may be used; anywhere if none is said. */
  addresses?: string[];
  /** What whoever made it says of the instance that will use it. */
  attributes?: Record<string, string>;
}

export type CredentialKind = Credential['kind'];

export const credentialKinds = [
  'public_key',
  'certificate',
  'certificate_subject',
  'spiffe_id',
  'secret',
  'enrolment_token',
] as const satisfies readonly CredentialKind[];

/**
 * How much later than `lastUsedAt` a credential may have been used, in milliseconds: nobody needs it to the second, and every
 * write of it costs the disk. Of one that has an end somebody may wait to see whether it is still used.
 */
export const lastUseUnknownMs = { lasting: 60 * 60_000, ending: 60_000 } as const;

/** How a credential stands at a moment: whether it proves anything, and if not, why. */
export const standings = ['active', 'suspended', 'expired', 'used', 'removed'] as const;
export type Standing = (typeof standings)[number];

/** How it stands at `now` (ms). Time is looked at when it is asked: nothing has to run for a credential to end. */
export function standingOf({ status, usedAt, expiresAt }: Credential, now: number): Standing {
  if (status === 'removed') return 'removed';
  if (usedAt !== undefined) return 'used';
  if (expiresAt !== undefined && expiresAt <= now) return 'expired';
  return status;
}
