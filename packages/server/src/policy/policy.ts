/** A policy of an organization: a document of Cedar statements under a name, with all that it ever said. */
import { createHash } from 'node:crypto';

export const policyModes = ['enforce', 'observe', 'removed'] as const;

/** `enforce`: it decides. `observe`: what it would decide is recorded, and changes nothing. `removed`: its history alone is left. */
export type PolicyMode = (typeof policyModes)[number];

/** What a policy said from one revision of its organization's set to the next of its own. */
export interface PolicyVersion {
  org: string;
  /** Numbers the changes of all policies of the organization, from 1 on. */
  revision: number;
  /** Id of the policy. */
  policy: string;
  text: string;
  mode: PolicyMode;
  /** Id of the agent that wrote it, or `bailiwick` for what came with the program. */
  author: string;
  reason: string;
  /** Milliseconds. */
  at: number;
}

/** A policy as it is: what its newest version says. */
export interface Policy {
  id: string;
  org: string;
  /** Unique in the organization, for ever. */
  name: string;
  createdAt: number;
  newest: PolicyVersion;
}

/** The most that one document may hold, in characters: it has to fit into one request, escaped. */
export const longestPolicy = 50_000;

/** How many policies an organization may have that are not removed. */
export const mostPolicies = 500;

/** What an event calls the policies that decided: `org_…/17`. */
export const setRevision = (org: string, revision: number): string => `${org}/${revision}`;

/** Reads what `setRevision` wrote. */
export function readSetRevision(text: unknown): { org: string; revision: number } | undefined {
  const [, org, revision] = (typeof text === 'string' && /^(org_[0-9a-z]{26})\/(\d{1,15})$/.exec(text)) || [];
  return org === undefined ? undefined : { org, revision: Number(revision) };
}

/** SHA-256 of a document, base64url: what events and lists have in its place. */
export const textHash = (text: string): string => createHash('sha256').update(text).digest('base64url');
