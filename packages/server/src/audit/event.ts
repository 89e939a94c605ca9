/**
 * The vocabulary of the log. An event's leaf is fixed for ever at commit: canonical JSON in which what is personal
 * stands only as a salted commitment (design §5). Readers reopen it with the salts that are sealed beside it.
 */

/** One decision, or one change, about somebody known. */
export interface AuditEvent {
  type: EventType;
  outcome: 'allowed' | 'refused';
  org: string;
  /** Whose doing it is: the authenticated agent. */
  agent?: string | undefined;
  instance?: string | undefined;
  /** Identifier URI of the resource that was asked for. */
  resource?: string | undefined;
  /** What it was done to, where that is not the agent itself: an id. */
  target?: string | undefined;
  jti?: string | undefined;
  /** Why it was refused, or by what it was allowed, in words that name policies. */
  reason?: string | undefined;
  /** The `traceparent` that the request came with. @see W3C Trace Context */
  trace?: string | undefined;
  /** Everything else that was decided on, free of anything personal, so that the decision can be made again. */
  decided_on?: Readonly<Record<string, unknown>> | undefined;
  /** What is personal: committed to in the leaf, sealed beside it. */
  personal: Readonly<Partial<Record<PersonalField, unknown>>>;
}

export const eventTypes = {
  'token.issued': 'An access token was issued.',
  'token.refused': 'An authenticated client asked for a token and was refused.',
  'token.revoked': 'A token was ended before its time.',
  'token.dead_presented': 'A guard asked about a token of its resource that is no longer alive (RFC 7662).',
  'token.presented_outside':
    'A guard asked about a token of its resource that was presented from outside of where it may be used.',
  'admin.refused': 'A caller of the admin API was known, and refused.',
  'organization.created': 'An organization was made.',
  'organization.updated': 'An organization was changed.',
  'organization.suspended': 'An organization and all that acts in it was stopped.',
  'organization.resumed': 'An organization may act again.',
  'person.created': 'A person was registered.',
  'person.updated': 'A person was changed.',
  'person.erased': 'A person was erased: name and address are gone.',
  'team.created': 'A team was made.',
  'team.updated': 'A team was changed.',
  'team.retired': 'A team ended for good.',
  'agent.created': 'An agent was registered.',
  'agent.updated': 'An agent was changed.',
  'agent.suspended': 'An agent was stopped until it is resumed.',
  'agent.resumed': 'An agent may act again.',
  'agent.retired': 'An agent ended for good.',
  'credential.created': 'A credential was added.',
  'credential.updated': 'A credential was changed.',
  'credential.rotated': 'A credential was replaced by another, and ends after an overlap.',
  'credential.ended': 'A credential ended for good.',
  'instance.enrolled': 'A running copy of an agent got an identity of its own.',
  'instance.renewed': 'An instance was given more time.',
  'instance.refused': 'An authenticated client wanted an instance enrolled or renewed and was refused.',
  'instance.ended': 'An instance ended before its time, with its children.',
  'resource.created': 'A resource was registered.',
  'resource.updated': 'A resource was changed.',
  'resource.retired': 'A resource ended for good.',
  'access.evaluated': 'The decision point was asked whether something is allowed (AuthZEN), and answered.',
  'access.searched': 'The decision point was asked who may, or what may be done (AuthZEN), and answered.',
  'policy.created': 'A policy was written.',
  'policy.updated': 'A policy was changed: its text, or whether it is observed or enforced.',
  'policy.removed': 'A policy decides no more.',
  'task.opened': 'An orchestrator opened a task for an agent.',
  'task.ended': 'A task was ended before its time, with all its tokens.',
  'task.refused': 'An orchestrator wanted a task opened or ended and was refused.',
  'mandate.given': 'An agent was let act for a person, or was passed on a part of that.',
  'mandate.narrowed': 'A mandate lets its agent do less, and what rested on more is dead.',
  'mandate.paused': 'A mandate was stopped until it is resumed.',
  'mandate.resumed': 'A mandate may be used again.',
  'mandate.ended': 'A mandate was ended before its time, with all that was passed on of it.',
  'mandate.refused': 'An agent wanted to pass a mandate on, to end one or to ask for one, and was refused.',
  'mandate.requested': 'An agent asked another for a part of a mandate that this one holds.',
  'mandate.request_refused': 'An agent refused what another had asked it for.',
  'mandate.request_withdrawn': 'An agent took back what it had asked another for.',
  'role.created': 'A role was made.',
  'role.updated': 'A role was changed.',
  'role.retired': 'A role ended for good.',
  'role.granted': 'A role was given to an agent.',
  'role.withdrawn': 'A role was taken from an agent.',
  'guard.created': 'A guard was registered for a resource.',
  'guard.ended': 'A guard ended for good.',
  'trust_domain.created': 'A foreign trust domain was registered.',
  'trust_domain.updated': 'A foreign trust domain was changed.',
  'trust_domain.refreshed': 'The bundle of a foreign trust domain was fetched and differs from the one before.',
  'trust_domain.removed': 'A foreign trust domain is trusted no more.',
  'trusted_issuer.created': 'Tokens of another issuer let agents act for people.',
  'trusted_issuer.updated': 'How an issuer is trusted was changed: every token that came by it is dead.',
  'trusted_issuer.refreshed': 'The keys of a trusted issuer were to be fetched, by order of an administrator.',
  'trusted_issuer.suspended': 'No tokens of an issuer are taken until it is resumed.',
  'trusted_issuer.resumed': 'Tokens of an issuer are taken again.',
  'trusted_issuer.removed': 'An issuer is trusted no more.',
  'authority.rotated': 'A certificate authority or key of JWT-SVIDs was given a successor.',
  'revocation.acknowledged':
    'All guards that a revocation concerns have applied it, or can no longer trust what they knew before.',
  'key.revoked': 'A signing key is believed no more, and nothing that it signed.',
  'access.used': 'A guard reports what was done at its resource, or refused.',
  'access.unproven': 'A guard reports how many requests without a good token it refused within a minute.',
  'access.unreported': 'A guard reports how many of its reports were lost.',
  'task.started': 'An agent reports that it begins with a task.',
  'task.finished': 'An agent reports how a task came to its end.',
  'drill.completed': 'A revocation was rehearsed: how long each took until it refused.',
  'signal.received': 'A security signal was heard from another provider, and what came of it.',
  'signal.stream_changed': 'Who is sent security signals, or from whom they are heard, was changed.',
  'export.changed': 'Where the log is exported to was changed.',
  'log.retention_changed': 'How long events are kept was changed.',
  'log.retired': 'Events whose time is over were removed from the log; their leaves’ hashes stay.',
  'key.rotated': 'A new signing key was published.',
  'operator.created': 'The first operator was made.',
  'operator.recovered': 'Who holds the data gave the operator a new key.',
} as const;

export type EventType = keyof typeof eventTypes;

/** In the order of canonical JSON. */
export const personalFields = ['address', 'details', 'owner', 'person', 'purpose'] as const;
export type PersonalField = (typeof personalFields)[number];
