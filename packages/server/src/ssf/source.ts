/** Another provider, from whom an organization hears signals. @see SSF 1.0 */
import type { PublicJwk } from '@bailiwick/protocol';
import type { HeardEvent } from './events.ts';

/** By what a source may know agents: their own names always; the rest is said when it is registered. */
export const subjectKinds = ['agent', 'credential', 'email'] as const;
export type SubjectKind = (typeof subjectKinds)[number];

/** Where and as whom we ask a source that doesn't push. */
export interface PollSettings {
  url: string;
  /** Tokens of that issuer, for the agent that we are there, by a key of our own; else what lies in the secret is shown as it is. */
  oauth?: { issuer: string; clientId: string; jwk: PublicJwk } | undefined;
}

export interface Source {
  id: string;
  org: string;
  name: string;
  /** What its SETs carry as `iss`. */
  issuer: string;
  jwksUri: string;
  /** Any of these must be in `aud`. */
  audience: readonly string[];
  events: readonly HeardEvent[];
  subjects: readonly SubjectKind[];
  /** Of what it shows when it pushes; undefined where we poll. */
  authorizationHash: string | undefined;
  poll: PollSettings | undefined;
  jwks: string | undefined;
  /** When its keys were last fetched, and when that was last tried (ms). */
  jwksAt: number | undefined;
  jwksTriedAt: number | undefined;
  heardAt: number | undefined;
  dueAt: number | undefined;
  failures: number;
  fault: string | undefined;
  createdAt: number;
  updatedAt: number;
}

/** By which algorithms SETs may be signed: none that takes a shared secret, and never `none`. */
export const setAlgorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const;

/** What a SET is taken at, with its header and whitespace around it (bytes). */
export const longestSet = 32_768;

/** On which topic nodes hear that there is a source to be asked. */
export const sourcesTopic = 'signal-sources';
