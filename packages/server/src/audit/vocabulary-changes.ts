/** What changes what is registered, and how the server is run. */
import { z } from 'zod';
import type { EventType } from './event.ts';
import { changed, count, id, instant, scope, text } from './vocabulary-members.ts';
import { both, change, ownRefusal, type Row } from './vocabulary-row.ts';

const mandate: Row = { ...change(['mandate']), personal: ['address', 'details', 'owner', 'person'] };

export const registryChanges = {
  'admin.refused': ownRefusal,
  'organization.created': change(['organization']),
  'organization.updated': change(['organization']),
  'organization.suspended': change(['organization']),
  'organization.resumed': change(['organization']),
  'person.created': change(['person']),
  'person.updated': change(['person']),
  'person.erased': change(['person']),
  'team.created': change(['team']),
  'team.updated': change(['team']),
  'team.retired': change(['team']),
  'agent.created': change(['agent']),
  'agent.updated': change(['agent']),
  'agent.suspended': change(['agent']),
  'agent.resumed': change(['agent']),
  'agent.retired': change(['agent']),
  'credential.created': change(['credential']),
  'credential.updated': change(['credential']),
  'credential.rotated': change(['credential']),
  'credential.ended': change(['credential']),
  'instance.ended': change(
    ['instance', 'agent', 'credential'],
    {},
    {
      children: z.array(id('instance')).optional().meta({ description: 'Its children, which ended with it.' }),
      key: text
        .optional()
        .meta({ description: 'Thumbprint of the key of who ended it, if that was itself or its parent.' }),
    },
  ),
  'resource.created': change(['resource']),
  'resource.updated': change(['resource']),
  'resource.retired': change(['resource']),
  'policy.created': change(['policy']),
  'policy.updated': change(['policy']),
  'policy.removed': change(['policy']),
  'task.ended': change(
    ['task'],
    {},
    {
      for: id('agent').optional().meta({ description: 'The agent that worked on it, if its orchestrator ended it.' }),
    },
  ),
  'task.refused': ownRefusal,
  'mandate.given': mandate,
  'mandate.narrowed': mandate,
  'mandate.paused': mandate,
  'mandate.resumed': mandate,
  'mandate.ended': mandate,
  'mandate.refused': ownRefusal,
  'mandate.requested': change(['mandate_request']),
  'mandate.request_refused': change(['mandate_request']),
  'mandate.request_withdrawn': change(['mandate_request']),
  'role.created': change(['role']),
  'role.updated': change(['role']),
  'role.retired': change(['role']),
  'role.granted': change(['agent'], { role: id('role'), grant: id('grant') }),
  'role.withdrawn': change(['agent'], { role: id('role'), grant: id('grant') }),
  'guard.created': change(['guard']),
  'guard.ended': change(['guard']),
  'trust_domain.created': change(['trust_domain']),
  'trust_domain.updated': change(['trust_domain']),
  'trust_domain.refreshed': change(
    ['trust_domain'],
    {},
    {
      name: text.optional().meta({ description: 'Its name.' }),
      sequence: count.optional().meta({ description: 'The sequence number of its bundle.' }),
      added: z.array(text).optional().meta({ description: 'Authorities that came, by thumbprint.' }),
      removed: z.array(text).optional().meta({ description: 'Authorities that went, by thumbprint.' }),
    },
  ),
  'trust_domain.removed': change(['trust_domain']),
  'trusted_issuer.created': change(['trusted_issuer']),
  'trusted_issuer.updated': change(['trusted_issuer']),
  'trusted_issuer.refreshed': change(['trusted_issuer']),
  'trusted_issuer.suspended': change(['trusted_issuer']),
  'trusted_issuer.resumed': change(['trusted_issuer']),
  'trusted_issuer.removed': change(['trusted_issuer']),
  'authority.rotated': change(undefined),
  'revocation.acknowledged': {
    has: ['target?'],
    on: {
      rev: count.optional().meta({ description: 'The number of the revocation.' }),
      revs: z
        .array(count)
        .optional()
        .meta({ description: 'Of more than eight at once: between which two numbers they are.' }),
      revocations: count.optional().meta({ description: 'Of more than eight at once: how many.' }),
      resources: z.array(id('resource')).meta({ description: 'Where it had to be heard of: the first 200.' }),
      applied: count.optional().meta({ description: 'How many guards have said that they applied it.' }),
      lapsed: z
        .array(id('guard'))
        .optional()
        .meta({ description: 'Those that said nothing until their lease had run out.' }),
      guards: z
        .array(
          z.strictObject({
            resource: id('resource'),
            guard: id('guard'),
            applied_at: instant.optional(),
            asked: z.literal(true).optional(),
            lapsed: z.literal(true).optional(),
            over: instant,
          }),
        )
        .meta({
          description:
            'Who answered, the first 200: `applied_at` (ms), or `lapsed`: its lease ran out, or `asked`: it believed an answer about a token; none of it later than `over` (ms).',
        }),
    },
    personal: [],
  },
  'key.revoked': change(undefined),
  'drill.completed': {
    outcomes: both,
    has: ['agent', 'target', 'reason'],
    target: ['agent'],
    on: {
      drill: id('drill').meta({ description: 'Which one.' }),
      for_real: z.boolean().meta({ description: 'Whether it was an agent at work, not the canary.' }),
      gaps: z.array(text).meta({ description: 'What nobody can call back, in words.' }),
      passed: z.boolean().meta({ description: 'Whether everybody who could be asked refused.' }),
      rev: count.optional().meta({ description: 'The number of the revocation.' }),
      rows: z
        .array(
          z.strictObject({
            probe: text,
            what: text.optional(),
            id: text.optional(),
            outcome: text,
            after_ms: count.optional(),
            note: text.optional(),
          }),
        )
        .meta({
          description:
            'Who was asked, with what came of it, and how long after the order (ms) they refused or acknowledged.',
        }),
      took_ms: count.meta({ description: 'Until the last of them did (ms).' }),
      verdict: text.meta({ description: '`passed`, `failed`, or `incomplete`: too little was asked to say more.' }),
    },
    personal: ['owner'],
  },
  'signal.received': {
    has: ['target', 'reason'],
    target: ['signal_source'],
    on: {
      event: text.meta({ description: 'The type of the security event.' }),
      issuer: text.meta({ description: 'Who sent it.' }),
      set: text.meta({ description: 'The `jti` of the security event token.' }),
      txn: text.optional().meta({ description: 'What gave rise to it there.' }),
      agents: z
        .array(z.looseObject({ agent: text, effect: text }))
        .meta({ description: 'Whom it is about, with what came of it for each, by which statements of policy.' }),
      more: count.optional().meta({ description: 'How many it is about beyond these.' }),
      policy: text.meta({
        description: 'The organization, and the version of the registry as of which its policies were asked.',
      }),
    },
    personal: ['details'],
  },
  'signal.stream_changed': {
    outcomes: both,
    // a stream that ends with its receiver has neither caller nor token
    has: ['agent?', 'instance?', 'target?', 'resource?', 'jti?', 'reason?'],
    target: ['signal_stream', 'signal_source'],
    on: {
      scope: scope().optional(),
      changed: changed().optional(),
      operation: text.optional().meta({ description: 'What was refused.' }),
      problem: text.optional().meta({ description: 'The kind of problem that was answered.' }),
    },
    personal: ['address', 'details', 'owner'],
  },
  'export.changed': change(['exporter']),
  'log.retention_changed': change(['organization'], {
    type: text.optional().meta({ description: 'Of which type of event.' }),
    days: z.union([count, text]).optional().meta({ description: 'How many days, or in words.' }),
  }),
  'log.retired': {
    has: ['reason'],
    on: {
      arrivals: z.array(count).length(2).meta({ description: 'The first and the last of their places in the log.' }),
      types: z.record(text, count).meta({ description: 'How many of each type were removed.' }),
    },
    personal: [],
  },
  'key.rotated': change(undefined),
  'operator.created': {
    has: ['target', 'reason'],
    target: ['agent'],
    on: { thumbprint: text.meta({ description: 'Of its key.' }), issuer: text },
    personal: ['owner'],
  },
  'operator.recovered': {
    has: ['target', 'reason'],
    target: ['agent'],
    on: {
      thumbprint: text.meta({ description: 'Of its key.' }),
      ended: count.meta({ description: 'How many credentials were ended for it.' }),
    },
    personal: ['owner'],
  },
} satisfies Partial<Record<EventType, Row>>;
