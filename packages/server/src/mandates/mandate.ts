/** The record that a person let an agent act for them, or that an agent passed a part of that on. */
import { deepestChain, type Power } from '@bailiwick/protocol';

export type {
  AmountLimit,
  Passing,
  PowerLimits as MandateLimits,
  PowerOnResource as MandateResource,
  PowerTask as MandateTask,
} from '@bailiwick/protocol';

/** What it allows is a {@link Power}: each of its tokens needs a task of an orchestrator that says the same, if it is for one. */
export interface Mandate extends Power {
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
  /** What whoever wrote it down calls it: no other of the organization until its time is up, be it ended before. */
  name?: string | undefined;
  given: Given;
  /** Milliseconds, as all times inside. */
  createdAt: number;
  /** When it was ended before that. */
  endedAt: number | undefined;
}

/** The ways in which a person can have given a mandate, and the one in which an agent passes one on. */
export const waysOfGiving = ['consent', 'device', 'ciba', 'assertion', 'administrator', 'passed_on'] as const;
export type WayOfGiving = (typeof waysOfGiving)[number];

/** How it was given. */
export interface Given {
  way: WayOfGiving;
  /** Id of the agent that wrote it down: an administrator's client, or the agent that passed it on. */
  by: string;
  /** The running copy of that agent that passed it on, if it was one: the part lasts no longer. */
  instance?: string;
  /** The text that the person saw, and in which language (BCP 47). Personal. */
  text?: string;
  language?: string;
}

/** A tree has at most so many levels below a person: as many as a chain of actors may have. */
export const deepest = deepestChain;
