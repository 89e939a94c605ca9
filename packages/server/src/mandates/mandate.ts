/** The record that a person let an agent act for them, or that an agent passed a part of that on. */
import type { AuthorizationDetail, TokenContext } from '@bailiwick/protocol';

export interface Mandate {
  id: string;
  org: string;
  /** For whom: the same from the root of its tree down to every leaf. */
  person: string;
  /** Who may act. */
  agent: string;
  /** The one running copy of the agent that it is for, with those below it; every one, if nothing is said. */
  instance: string | undefined;
  /** The mandate of whoever passed it on; none at the root. */
  parent: string | undefined;
  /** Ids from the parent up to the root. */
  ancestors: readonly string[];
  /** What may be done, by resource; each once. */
  resources: readonly MandateResource[];
  /** Where and when its tokens may be used. */
  context: TokenContext | undefined;
  /** The work that it is for: every token needs an orchestrator's task that says the same. */
  task: MandateTask | undefined;
  limits: MandateLimits;
  passing: Passing;
  given: Given;
  /** Milliseconds, as all times inside. */
  createdAt: number;
  endsAt: number;
  /** When it was ended before that. */
  endedAt: number | undefined;
}

/** What may be done on one resource. */
export interface MandateResource {
  /** Id of the resource. */
  resource: string;
  scope: readonly string[];
  /** Bounds (RFC 9396): what a token says is within one of them. */
  details: readonly AuthorizationDetail[];
}

/** What a task has to say; what isn't said isn't asked. */
export interface MandateTask {
  /** Id of the one task. */
  id?: string;
  workflow?: string;
  environment?: string;
}

/** How much may be done with it and all that is passed on of it, together. */
export interface MandateLimits {
  /** So many tokens. */
  uses?: number;
  amounts?: readonly AmountLimit[];
}

/** What the details of one type may come to in total. */
export interface AmountLimit {
  /** Type of the details. */
  type: string;
  /** JSON Pointer to the amount in such a detail: a number, or a decimal number as text. @see RFC 6901 */
  amount: string;
  /** JSON Pointer to its unit, and which one is counted: what says another can't be had. */
  unit?: { at: string; is: string };
  /** At most six decimals. */
  total: number;
}

/** How it may be passed on. */
export interface Passing {
  /** How many times over: 0 is not at all. */
  depth: number;
  /** Ids of the agents that it may come to, at any depth; any of the organization, if nothing is said. */
  to?: readonly string[];
}

/** The ways in which a person can have given a mandate, and the one in which an agent passes one on. */
export const waysOfGiving = ['consent', 'device', 'ciba', 'assertion', 'administrator', 'passed_on'] as const;
export type WayOfGiving = (typeof waysOfGiving)[number];

/** How it was given. */
export interface Given {
  way: WayOfGiving;
  /** Id of the agent that wrote it down: an administrator's client, or the agent that passed it on. */
  by: string;
  /** The text that the person saw, and in which language (BCP 47). Personal. */
  text?: string;
  language?: string;
}

/** A tree has at most so many levels below a person: as many as a chain of actors may have. */
export const deepest = 5;
