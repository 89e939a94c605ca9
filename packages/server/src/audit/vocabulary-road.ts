/** What is decided on the roads of tokens, instances and tasks, and at resources. */
import { z } from 'zod';
import type { EventType } from './event.ts';
import {
  changed,
  client,
  count,
  id,
  instant,
  policyMembers,
  provenance,
  registry,
  rev,
  scope,
  step,
  text,
  workflow,
} from './vocabulary-members.ts';
import { both, everything, type Row, refused } from './vocabulary-row.ts';

const clientRefusal: Row = {
  outcomes: refused,
  has: ['agent', 'instance?', 'resource?', 'reason'],
  on: {
    asked: z.record(z.string(), z.unknown()).meta({ description: 'What was asked for, as the log can keep it.' }),
    client,
    error: text.meta({ description: 'The OAuth error that was answered.' }),
    outside: text.optional().meta({ description: 'Which dimension of the place didn’t fit.' }),
    ...policyMembers,
    provenance,
    registry,
    rev,
  },
  personal: everything,
};

const use = {
  report: text.meta({ description: 'The id that the guard or agent gave its report: each counts once.' }),
  used_at: instant.meta({ description: 'When it happened, by the clock of who reports it (ms).' }),
};
const atGuard = {
  guard: id('guard').meta({ description: 'Which guard reports it.' }),
  resource_id: id('resource').meta({ description: 'The resource, by its id.' }),
};

const counts = (description: string) => z.record(text, count).meta({ description });

/** What a guard sums up: it is about nobody. */
const summary = (on: z.ZodRawShape): Row => ({
  outcomes: refused,
  has: ['agent', 'resource'],
  on: { ...atGuard, ...on, since: instant.meta({ description: 'From when on it was counted (ms).' }), ...use },
  personal: ['owner'],
});

/** What an agent says of its own tasks. */
const taskReport = (on: z.ZodRawShape = {}): Row => ({
  has: ['agent', 'instance?', 'target', 'jti'],
  target: ['task'],
  on: {
    ...use,
    ...on,
    provenance: text.meta({ description: 'Who vouches for it: nobody, it is declared.' }),
    step: step.optional(),
    workflow,
  },
  personal: ['address', 'owner'],
});

const instanceMembers: Row = {
  has: ['agent', 'instance', 'target'],
  target: ['instance'],
  on: {
    allowed: z.unknown().optional().meta({ description: 'What its tokens are limited to beyond the agent’s.' }),
    ancestors: z.array(id('instance')).meta({ description: 'Whose child it is, the nearest first.' }),
    attributes: z.record(z.string(), z.unknown()).meta({ description: 'Who vouches for each of its attributes.' }),
    client,
    enrolment_token: text.optional().meta({ description: 'The enrolment token that was used up.' }),
    expires_at: instant.meta({ description: 'When it ends (ms).' }),
    key: text.meta({ description: 'Thumbprint of its key.' }),
    key_before: text.optional().meta({ description: 'Thumbprint of the key that it had before.' }),
    registry,
    rev,
    token: z.boolean().meta({ description: 'Whether a token came with it.' }),
    x5t: text.optional().meta({ description: 'Thumbprint of its X.509-SVID.' }),
  },
  personal: everything,
};

const taskMembers = {
  ends_at: instant.meta({ description: 'When it ends by itself (ms).' }),
  environment: text.optional().meta({ description: 'Where it works.' }),
  for: id('agent').meta({ description: 'The agent that works on it.' }),
  resources: z
    .array(z.looseObject({ resource: text }))
    .optional()
    .meta({
      description: 'What its tokens are limited to: scopes and types of details, by resource.',
    }),
  rests_on: z.array(text).meta({ description: 'What its orchestrator acted with: it ends with that.' }),
  rev,
  step: step.optional(),
  workflow,
};

/** A transaction token names who acts: who requested it is the event's own agent. */
const transaction = z.strictObject({
  agent: id('agent'),
  instance: id('instance').optional(),
  requested_by: z
    .array(text)
    .meta({ description: 'Who requested the tokens of this transaction: SPIFFE IDs, this one’s last.' }),
  resources: z.array(id('resource')).meta({ description: 'The resources that take it.' }),
  task: id('task').optional(),
  txn: text,
});

export const road = {
  'token.issued': {
    has: ['agent', 'instance?', 'resource', 'jti', 'reason'],
    on: {
      chain: z
        .array(text)
        .optional()
        .meta({ description: 'Who acts, where it acts for somebody: SPIFFE IDs, the client first.' }),
      client,
      ctx: z.array(text).optional().meta({ description: 'In which dimensions it is limited to places and hours.' }),
      details: z.array(text).optional().meta({ description: 'Types of its `authorization_details`.' }),
      expires_at: instant.meta({ description: 'When it ends by itself (ms).' }),
      grant_type: text,
      jkt: text.optional().meta({ description: 'Thumbprint of the key that it is bound to.' }),
      kid: text.optional().meta({ description: 'Which key signed it.' }),
      links: z.array(text).meta({ description: 'What else ends it when it is revoked.' }),
      mandate: id('mandate').optional().meta({ description: 'The mandate that it was issued on.' }),
      may_act: text.optional().meta({ description: 'Who may exchange it: a SPIFFE ID.' }),
      ...policyMembers,
      provenance,
      registry,
      resource_id: id('resource').meta({ description: 'The resource that it is for, by its id.' }),
      rev,
      scope: scope('What it may be used for.'),
      subject: text
        .optional()
        .meta({ description: 'For which agent, where it was exchanged and no person is behind it: its SPIFFE ID.' }),
      subject_token: text.optional().meta({ description: 'The `jti` of the token that it was exchanged from.' }),
      issuer_rule: z
        .strictObject({ issuer: id('trusted_issuer'), rule: text })
        .optional()
        .meta({ description: 'The rule of a trusted issuer that it was issued on.' }),
      task: id('task').optional().meta({ description: 'Under which task it was issued.' }),
      transaction: transaction.optional().meta({ description: 'Of a transaction token: what it is of.' }),
      x5t: text.optional().meta({ description: 'Thumbprint of the certificate that it is bound to.' }),
    },
    personal: everything,
  },
  'token.refused': clientRefusal,
  'token.revoked': {
    outcomes: both,
    // a signal that policy lets act has neither agent nor token
    has: ['agent?', 'instance?', 'resource?', 'target?', 'jti?', 'reason?'],
    on: {
      credential: text.optional().meta({ description: 'With which credential, if its own agent gave it up.' }),
      key: text.optional().meta({ description: 'Thumbprint of the key of that credential.' }),
      rev: rev.optional(),
      scope: scope().optional(),
      changed: changed('What was revoked, if somebody else did it.').optional(),
    },
    personal: ['address', 'details', 'owner'],
  },
  'token.dead_presented': {
    outcomes: refused,
    has: ['agent', 'resource', 'target', 'jti', 'reason'],
    target: ['agent'],
    on: { rev, token_rev: count.meta({ description: 'The number that the token carries.' }) },
    personal: ['address', 'details', 'owner'],
  },
  'token.presented_outside': {
    outcomes: refused,
    has: ['agent', 'resource', 'target', 'jti', 'reason'],
    target: ['agent'],
    on: { outside: text.meta({ description: 'Which dimension of the place didn’t fit.' }) },
    personal: ['address', 'details', 'owner'],
  },
  'instance.enrolled': instanceMembers,
  'instance.renewed': instanceMembers,
  'instance.refused': clientRefusal,
  'access.evaluated': {
    outcomes: both,
    has: ['agent', 'target?', 'resource?', 'jti?', 'reason'],
    target: ['agent'],
    on: {
      asked: z.looseObject({ action: text, type: text }).optional().meta({ description: 'What was asked about.' }),
      decision: text.meta({ description: 'What policies decided.' }),
      errors: z.array(text).optional().meta({ description: 'The statements that could not be evaluated.' }),
      ...policyMembers,
      provenance,
      registry,
      requirements: z.array(z.unknown()).optional().meta({ description: 'What it would take.' }),
      rev,
    },
    personal: everything,
  },
  'access.searched': {
    has: ['agent', 'resource?'],
    on: {
      registry,
      results: count.meta({ description: 'How many were found.' }),
      rev,
      search: text.meta({ description: 'Whether subjects, resources or actions were searched.' }),
    },
    personal: ['address', 'details', 'owner'],
  },
  'task.opened': {
    has: ['agent', 'target', 'resource?', 'jti?'],
    target: ['task'],
    on: {
      ...taskMembers,
      scope: scope().optional(),
      signed: z
        .boolean()
        .optional()
        .meta({ description: 'It came as a JWT of its orchestrator, with its first token.' }),
    },
    personal: everything,
  },
  'access.used': {
    outcomes: both,
    has: ['agent', 'instance?', 'resource', 'jti', 'reason?'],
    on: {
      act: z.array(text).optional().meta({ description: 'The chain of agents that acted, the outermost first.' }),
      code: text.optional().meta({ description: 'Why the guard refused, as the client was told.' }),
      ...atGuard,
      method: text.optional(),
      mode: text.meta({ description: 'How the guard knew that the token was alive.' }),
      operation: text.optional().meta({ description: 'What was done, by the name of the operation.' }),
      path: text.optional(),
      ...use,
      status: count.optional().meta({ description: 'What the API answered.' }),
      task: id('task').optional().meta({ description: 'Under which task the token was issued.' }),
      txn: text.optional().meta({ description: 'Of which transaction it was a part, by its id.' }),
    },
    personal: everything,
  },
  'access.unproven': summary({ counts: counts('How many requests it refused, by why.') }),
  'access.unreported': summary({
    causes: counts('How many were lost, by what it was that lost them.'),
    counts: counts('How many were lost, by kind of report.'),
  }),
  'task.started': taskReport(),
  'task.finished': taskReport({
    result: text.meta({ description: 'How it came to its end: ok, failed or abandoned.' }),
  }),
} satisfies Partial<Record<EventType, Row>>;
