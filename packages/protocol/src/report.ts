/**
 * What guards and agents tell the server of what was done: `POST <issuer>/events`, in batches. Whoever reports repeats until it is answered; the
 * server takes each id once.
 */

/** The most of one request: reports, and bytes of its body. */
export const mostReports = 500;
export const mostReportBytes = 256 * 1024;
/** How old what is reported may be, in milliseconds. */
export const oldestReportMs = 7 * 24 * 60 * 60 * 1000;

/** What every report has. */
interface Reported {
  /** Made once, by chance: 16 to 64 of `A-Za-z0-9._-`. */
  id: string;
  /** When it happened, by the clock of whoever reports: RFC 3339 in UTC. */
  at: string;
}

/** One decision about a request with a good token. There is nothing in it of what the path's parameters were. */
export interface AccessReport extends Reported {
  type: 'access.used';
  outcome: 'allowed' | 'refused';
  /** What was answered; 200 where the request went on to its route. */
  status: number;
  /** What kind of refusal it was, and why. */
  code?: string;
  reason?: string;
  agent: string;
  organization: string;
  instance?: string;
  task?: string;
  /** The token's. */
  jti: string;
  /** Of a transaction token. */
  txn?: string;
  /** Everybody who acts, the one calling first, where it acts for somebody. */
  act?: readonly string[];
  operation?: string;
  method?: string;
  /** The operation's path template. */
  path?: string;
  address?: string;
  /** The request's `traceparent`. */
  trace?: string;
  /** By what the guard knew that the token stands: `introspect`, `feed`, `offline`. */
  mode: string;
}

/** How many requests without a good token were refused since `since`, by what kind of refusal. */
export interface UnprovenReport extends Reported {
  type: 'access.unproven';
  since: string;
  counts: Readonly<Record<string, number>>;
}

/** How many reports never came, by what they were about and by why. */
export interface UnreportedReport extends Reported {
  type: 'access.unreported';
  since: string;
  counts: Readonly<Record<string, number>>;
  causes: Readonly<Record<string, number>>;
}

/** An agent begins with a task of its own. */
export interface TaskStartedReport extends Reported {
  type: 'task.started';
  task: string;
  trace?: string;
}

/** How it came to its end, as the agent says. */
export interface TaskFinishedReport extends Reported {
  type: 'task.finished';
  task: string;
  result: 'ok' | 'failed' | 'abandoned';
  trace?: string;
}

export type Report = AccessReport | UnprovenReport | UnreportedReport | TaskStartedReport | TaskFinishedReport;

/** What became of one report, in the order in which they were sent. */
export interface ReportResult {
  id?: string;
  /** `known`: it was taken before. `refused`: it never will be. */
  outcome: 'recorded' | 'known' | 'refused';
  reason?: string;
}
