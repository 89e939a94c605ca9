import type { JwsAlgorithm, PublicJwk } from '@bailiwick/protocol';

/** What an agent proves itself with: the public half of a key pair whose private half never left it. */
export interface Credential {
  id: string;
  agent: string;
  org: string;
  kind: 'public_key';
  /** RFC 7638. */
  thumbprint: string;
  /** What assertions call the key: its thumbprint, unless its owner chose another name. */
  kid: string;
  alg: JwsAlgorithm;
  jwk: PublicJwk;
  label: string;
  createdAt: number;
  /** Milliseconds. */
  expiresAt?: number;
  lastUsedAt?: number;
  status: 'active' | 'removed';
}
