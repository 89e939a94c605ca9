/** What policy wants before it says yes: told to a client in `requirements`, beside the error. */
export type Requirement =
  /** A human's yes to this very request. */
  | { type: 'approval' }
  /** Proof of possession or of identity, made at most so many seconds ago. */
  | { type: 'fresh_proof'; max_age: number }
  /** A request for less: fewer scopes, less sensitive operations, or details in place of scopes. */
  | { type: 'narrower' }
  /** A token bound in this way. */
  | { type: 'binding'; binding: 'dpop' | 'mtls' }
  /** A task that an orchestrator opened. */
  | { type: 'task' };
