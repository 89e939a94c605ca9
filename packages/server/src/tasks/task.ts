import type { AuthorizationDetail } from '@bailiwick/protocol';

/** A piece of work that an orchestrator opened for an agent. Ending it ends its tokens. */
export interface Task {
  id: string;
  org: string;
  /** For whom. */
  agent: string;
  /** The agent that opened it. */
  orchestrator: string;
  workflow: string;
  step: string | undefined;
  environment: string | undefined;
  /** In words for people: it stays out of tokens and of what isn't sealed in the log. */
  purpose: string;
  /** What its tokens may be for; all that the agent may, if nothing is said. */
  resources: readonly TaskResource[] | undefined;
  /**
   * Ids of what it was opened by, beside the orchestrator: a credential, an instance and those above it, and the task that the
   * orchestrator was at. When one is ended, it ends; not when the time of one is up.
   */
  restsOn: readonly string[];
  /** The revocation number as of which it was opened: a suspension with a greater one ended it. */
  rev: number;
  /** Milliseconds, as all times inside. */
  createdAt: number;
  endsAt: number;
  /** When it was ended before that. */
  endedAt: number | undefined;
}

/** What a task's tokens may be for on one resource. */
export interface TaskResource {
  /** Id of the resource. */
  resource: string;
  scope: readonly string[];
  details: readonly AuthorizationDetail[];
}

/** How long a task may last, in milliseconds. */
export const longestTaskMs = 24 * 60 * 60 * 1000;

/** How many tasks of one agent may be open at once. */
export const openAtMost = 5000;
