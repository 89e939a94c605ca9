import { isZoneName, type JwsAlgorithm, type PublicJwk } from '@bailiwick/protocol';

/** Where something that is known of an instance comes from (design §3), the strongest first. */
export const provenances = ['observed', 'attested', 'orchestrated', 'declared'] as const;
export type Provenance = (typeof provenances)[number];

/** One thing that is known of an instance: its zone, image or node, and who says so. */
export interface Attribute {
  value: string;
  provenance: Provenance;
}

/** One running copy of an agent, with a key of its own, alive for minutes or hours. */
export interface Instance {
  id: string;
  org: string;
  agent: string;
  /** The instance that enrolled it, if it is a child. */
  parent: string | undefined;
  /** Its parents up to the one that the agent enrolled, the nearest first. When one ends, it ends. */
  ancestors: readonly string[];
  /** What its parent calls it: unique among the living children of one parent. */
  name: string | undefined;
  spiffeId: string;
  /** The credential that it was enrolled with: when that is revoked, it ends. */
  credential: string;
  /** When the certificate or SVID ends that was shown to enrol it (milliseconds): renewing leads no further. */
  restsUntil: number | undefined;
  /** RFC 7638. */
  thumbprint: string;
  alg: JwsAlgorithm;
  jwk: PublicJwk;
  attributes: Readonly<Record<string, Attribute>>;
  /** What it may ask tokens for, when that is less than what its agent may: resource ids and scopes. */
  allowed: readonly { resource: string; scope: readonly string[] }[] | undefined;
  /** The revocation number as of which it was enrolled: a suspension with a greater one ended it. */
  rev: number;
  createdAt: number;
  renewedAt: number;
  /** Milliseconds. */
  expiresAt: number;
}

/** By what the tokens of an instance can be limited to the place that it enrolled from. */
export const bindings = ['address', 'country', 'zone'] as const;
type Binding = (typeof bindings)[number];

/** What instances of an agent may be: a part of the agent's registration. */
export interface InstanceTemplate {
  /** Seconds until one that does not renew is gone; at most 24 hours. */
  lifetime_seconds?: number;
  /** How many may live at once, children included. */
  live_at_most?: number;
  /** How many generations of children there may be below one; 0: none. */
  depth?: number;
  /** Names that its certificates may carry beside the SPIFFE ID: exact, or `*.` and a domain. */
  dns_names?: string[];
  /** What of an instance its tokens are limited to: the address or zone that it enrolled from, or that address's country. */
  bind?: Binding[];
  /** What must be known of one, from where, and which values are allowed (none said: any). */
  attributes?: { name: string; provenance: Provenance; values?: string[] }[];
}

/**
 * The compute zone of an instance, as its platform or whoever made its enrolment token says; never what it says of itself, nor what is no
 * name of a zone.
 */
export function vouchedZone({ attributes }: Pick<Instance, 'attributes'>): string | undefined {
  const zone = Object.hasOwn(attributes, 'zone') ? attributes.zone : undefined;
  return zone && zone.provenance !== 'declared' && isZoneName(zone.value) ? zone.value : undefined;
}
