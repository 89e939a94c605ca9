import {
  type AccessTokenClaims,
  type AuthorizationDetail,
  actorsOf,
  type JsonObject,
  readDetail,
} from '@bailiwick/protocol';

/** Who is calling, before it is known what they want. */
export type KnownCaller = Omit<Caller, 'operation' | 'covers' | 'trace'>;

/** Who is calling, as the route sees it. There is no token in it: what the route doesn't have, it can't leak or pass on. */
export interface Caller {
  /** The agent that calls: its id (`agt_…`), the `client_id` of the token. */
  readonly agent: string;
  /** On whose authority: the agent's SPIFFE ID when it acts for itself, else the person. */
  readonly subject: string;
  /** The person for whom it acts (`per_…`), if it acts for one. */
  readonly person?: string;
  /** The mandate by which it may (`mdt_…`). */
  readonly mandate?: string;
  /** The organization whose agent it is (`org_…`). */
  readonly organization: string;
  /** The running copy of the agent (`ins_…`), if it has an identity of its own. */
  readonly instance?: string;
  /** The SPIFFE ID of the one that calls, whoever it acts for: of the instance where there is one, else of the agent. */
  readonly spiffeId?: string;
  /** The piece of work that the token was issued for. */
  readonly task?: { readonly id: string; readonly workflow?: string; readonly step?: string; readonly env?: string };
  readonly scope: readonly string[];
  /** The operation of the resource that this request is, by name. */
  readonly operation: string;
  /** Everybody who acts for the subject, the one calling first; empty when the agent acts for itself. */
  readonly chain: readonly Actor[];
  /** What the token allows beyond scopes (RFC 9396), as issued. */
  readonly details: readonly AuthorizationDetail[];
  /**
   * Whether one of the token's details covers this one, by the resource's types: for what only the route knows.
   * `if (!caller.covers({ type: 'transfer', amount: body.amount })) …` refuse. Never throws; false for a type that isn't registered.
   * What nothing says isn't covered: give all members that a token may limit.
   */
  covers(detail: AuthorizationDetail): boolean;
  /**
   * The transaction that the request is a part of, where it came with a transaction token: then `agent` and `chain` say who called from outside, and not which
   * service called here. `tctx` is what the transaction is about and `rctx` what it began in, `requestedBy` the SPIFFE IDs of the services that said so, the
   * one at the edge first.
   */
  readonly transaction?: {
    readonly txn: string;
    readonly tctx: JsonObject;
    readonly rctx: JsonObject;
    readonly requestedBy: readonly string[];
  };
  /** How the caller proved that the token is its own; `none` only where the resource says `dangerously_bearer`, and in transactions. */
  readonly proof: 'dpop' | 'certificate' | 'dpop and certificate' | 'none';
  /** The `traceparent` that the request came with, if it is a valid one (W3C Trace Context). */
  readonly trace?: string;
  /** For logs, and to stop in time. Times are ms since 1970. */
  readonly token: { readonly jti: string; readonly issuedAt: number; readonly expiresAt: number };
}

/** One link of a delegation chain. */
export interface Actor {
  readonly subject: string;
  readonly issuer?: string;
  readonly profile?: string;
}

/**
 * The caller that verified claims tell of; what they want is added per request. Frozen: it is shared between requests.
 * @throws Error if the claims are not in the shape that our issuer gives them
 */
export function callerOf(
  claims: AccessTokenClaims,
  scope: readonly string[],
  transaction?: Caller['transaction'],
): KnownCaller {
  const { instance, mandate, task } = claims;
  if (instance !== undefined && typeof instance !== 'string') throw new Error('instance is no string');
  if (task !== undefined && typeof task?.id !== 'string') throw new Error('task has no id');
  const chain = chainOf(claims.act);
  const person = claims.sub_profile === 'user' ? claims.sub : undefined;
  // Who calls is always an agent: one that came as the person would hide who acts.
  if (person !== undefined && chain.length === 0) throw new Error('nobody acts for the person');
  const spiffeId = spiffeIdIn(chain[0]?.subject ?? claims.sub);
  const details = claims.authorization_details ?? [];
  if (!Array.isArray(details)) throw new Error('authorization_details is no list');
  return Object.freeze({
    agent: claims.client_id,
    subject: claims.sub,
    ...(person === undefined ? {} : { person }),
    ...(mandate === undefined ? {} : { mandate }),
    organization: claims.org,
    ...(instance === undefined ? {} : { instance }),
    ...(spiffeId === undefined ? {} : { spiffeId }),
    ...(task === undefined ? {} : { task: Object.freeze({ ...task }) }),
    scope: Object.freeze([...scope]),
    chain: Object.freeze(chain),
    details: frozen(details.map((detail, index) => readDetail(detail, `authorization_details[${index}]`))),
    ...(transaction === undefined ? {} : { transaction: frozen(transaction) }),
    proof: proofOf(claims.cnf),
    token: Object.freeze({ jti: claims.jti, issuedAt: claims.iat * 1000, expiresAt: claims.exp * 1000 }),
  });
}

/** All the way down: what a route changes here, the token's next request would be allowed by. */
function frozen<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null) return value;
  for (const member of Object.values(value)) frozen(member);
  return Object.freeze(value);
}

function spiffeIdIn(subject: string): string | undefined {
  return subject.startsWith('spiffe://') ? subject : undefined;
}

function proofOf(cnf: AccessTokenClaims['cnf']): Caller['proof'] {
  if (cnf?.['x5t#S256'] === undefined) return cnf?.jkt === undefined ? 'none' : 'dpop';
  return cnf.jkt === undefined ? 'certificate' : 'dpop and certificate';
}

/** @throws ProtocolError `malformed` or `too_deep` */
function chainOf(act: unknown): Actor[] {
  return actorsOf(act).map(({ sub, iss, sub_profile }) =>
    Object.freeze({
      subject: sub,
      ...(iss === undefined ? {} : { issuer: iss }),
      ...(sub_profile === undefined ? {} : { profile: sub_profile }),
    }),
  );
}
