/**
 * The words in which policies speak, as Cedar's schema: what a policy may ask, and what it is validated against before it is saved.
 * Published as it stands here.
 * @see https://docs.cedarpolicy.com/schema/human-readable-schema.html
 */
export const policySchema = `\
// Bailiwick's words for Cedar policies.

// What an agent may ever do. Role::"<name>"
entity Role;

// An agent of ours, in every role that it has, inherited ones included. Agent::"<name>"
// Its tags are what a platform or an authority attests of the instance that asks: principal.getTag("zone").
entity Agent in [Role] = {
  id: String,
  name: String,
  kind: String,         // "ai_agent", "workload" or "device"
  environment: String,  // as registered: "production"
  owner: String,        // id of a person or team
  instance?: String     // id of the running instance, where it is one that asks
} tags String;

// Another provider, from whom security signals are heard. Source::"<name>"
entity Source = {
  id: String,
  name: String,
  issuer: String
};

// Somebody whom only the asking side knows. Subject::"<type>:<id>"; its tags are the properties that the asking side tells.
entity Subject = {
  kind: String,
  id: String
} tags String;

// An API or MCP server. Api::"<identifier>"
entity Api = {
  identifier: String,
  name: String,
  sensitivity: String   // "low", "medium" or "high": the highest of what is asked for
};

// One thing that an API lets be done. Operation::"<identifier of the API>#<name>"
entity Operation in [Api] = {
  api: String,          // identifier
  name: String,
  sensitivity: String
};

// One tool of an MCP server. Tool::"<identifier of the server>#<name>"
entity Tool in [Api] = {
  api: String,
  name: String,
  sensitivity: String
};

// Something that only the asking side knows. Object::"<type>:<id>"; its tags are the properties that the asking side tells.
entity Object = {
  kind: String,
  id: String,
  sensitivity: String   // "high" unless the asking side says less
} tags String;

// What nobody but the asking side says about its question, as tags.
entity Claimed tags String;

// What the agent is at work on, and who says so.
type Task = {
  provenance: String,   // "orchestrated": an orchestrator opened it; "declared": the agent's own words
  id?: String,
  workflow?: String,
  step?: String,
  environment?: String,
  purpose?: String
};

type Zone = {
  name: String,
  provenance: String    // "attested": by the instance's platform; "observed": found by the address
};

// The time of day where the organization is.
type LocalTime = {
  hour: Long,           // 0 to 23
  minute: Long,         // 0 to 59
  minutes: Long,        // since midnight, 0 to 1439
  weekday: String,      // "mon" to "sun"
  date: String          // "2026-11-23"
};

// Where each of these comes from stands in brackets. Observed: by us. Verified: shown by a proof or a token that we looked at.
type Context = {
  task?: Task,          // [task.provenance tells]
  // Whose address it is: of the client at token:issue, of whoever presents the token at resource:access. [address_provenance tells]
  address?: ipaddr,
  // "observed": by us, or by a guard that sent the token along; "told": whoever asks says so, and nothing shows it.
  address_provenance: String,
  country?: String,     // ISO 3166-1: "DE" [found by the address]
  zone?: Zone,          // [zone.provenance tells]
  time: LocalTime,      // [observed]
  now: datetime,        // to the minute [observed]
  binding: String,      // of the token, to a key: "dpop", "mtls", "dpop+mtls" or "none" [verified]
  method: String,       // by which the client proved who it is: "private_key_jwt" [verified]; "none" where nobody did
  proof_age: Long,      // seconds since that proof was made [verified]
  // What is asked for in effect, however it was said. At token:issue and token:exchange the scopes that are asked for, and those that the operations
  // named in authorization_details take; at resource:access those that the token carries, if there is one, and those that the
  // operation or tool takes, or that the API as a whole has. [requested; verified at resource:access, as far as a token carries it]
  scope: Set<String>,
  details: Set<String>, // types of authorization_details, in effect as above
  chain_depth: Long,    // 0 where the agent acts for itself [verified]
  subject?: String,     // for whom it acts: id of a person, or SPIFFE ID of an agent [verified]
  chain?: Set<String>,  // where it acts for somebody: ids of the agents that acted before it [verified]
  mandate?: String,     // id of the mandate that it acts on [verified]
  // chain_depth, subject, chain and mandate are of the token that is asked for at token:exchange, and at resource:access of the one that it shows
  operation?: String,   // what the asking side calls the action, where it is none of ours [told]
  claimed: Claimed      // [told]
};

// A token is asked for: by the agent for itself, or in exchange for a mandate or another token (RFC 8693).
action "token:issue", "token:exchange" appliesTo {
  principal: [Agent],
  resource: [Api],
  context: Context
};

// Something is about to be done with one.
action "resource:access" appliesTo {
  principal: [Agent, Subject],
  resource: [Api, Operation, Tool, Object],
  context: Context
};

// A security signal that was heard, what it would do, and what the agent has to do with it. All that the other side says is [told].
type Signal = {
  event: String,        // "session-revoked", "credential-change", "risk-level-change", …: the last part of the event's URI
  effect: String,       // "revoke": its tokens end; "suspend": it is stopped until it is resumed
  // What the signal is about: "agent", an "instance" or "credential" of it, its "owner", or the whole "organization"
  concerns: String,
  change_type?: String,      // credential-change: "create", "revoke", "update" or "delete"
  credential_type?: String,
  current_level?: String,    // risk-level-change: "LOW", "MEDIUM" or "HIGH"; assurance-level-change: as its namespace has them
  previous_level?: String,
  namespace?: String,        // assurance-level-change
  change_direction?: String, // assurance-level-change: "increase" or "decrease"
  risk_reason?: String,
  current_status?: String,   // device-compliance-change: "compliant" or "not-compliant"
  previous_status?: String,
  initiating_entity?: String, // "admin", "user", "policy" or "system"
  time: LocalTime,      // [observed]
  now: datetime         // to the minute [observed]
};

// A security signal would stop an agent, or end its tokens. Only statements that name this action are asked: others are not about signals.
action "signal:apply" appliesTo {
  principal: [Source],
  resource: [Agent],
  context: Signal
};

// A human is asked for a yes; a credential in a target system is asked for.
action "approval:request", "lease:create" appliesTo {
  principal: [Agent],
  resource: [Api, Operation, Tool],
  context: Context
};
`;

/** The one action that a statement must name to have a say in it: whoever wrote of tokens for anybody and anything didn't mean signals. */
export const signalAction = 'signal:apply';

/** The schema without it: what statements that don't name it are held against. */
export const schemaWithoutSignals = policySchema.replace(/action "signal:apply" [^}]*};\n/, '');
