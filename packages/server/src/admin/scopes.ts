/** The scopes of the admin API: one for each noun and verb, so that an administrator's identity can be narrow. */
export const adminScopes = {
  'organizations:read': 'See organizations',
  'organizations:write': 'Make, change, suspend and resume organizations',
  'organizations:any': 'Reach every organization, not only one’s own',
  'people:read': 'See people',
  'people:write': 'Register, change and erase people',
  'teams:read': 'See teams and their members',
  'teams:write': 'Make, change and end teams and their members',
  'agents:read': 'See agents and the roles that they hold',
  'agents:write': 'Register, change, suspend, resume and retire agents',
  'credentials:read': 'See credentials (public keys)',
  'credentials:write': 'Add, change and remove credentials',
  'instances:read': 'See instances of agents',
  'instances:write': 'End instances of agents',
  'resources:read': 'See resources and their operations',
  'resources:write': 'Register, change and retire resources',
  'roles:read': 'See roles',
  'roles:write': 'Make, change and end roles, give them to agents and take them away',
  'guards:read': 'See guards',
  'guards:write': 'Register and end guards',
  'policies:read': 'See policies; with agents:read and events:read, explain decisions and rehearse drafts',
  'policies:write': 'Write, observe, roll back and remove policies',
  'tasks:read': 'See tasks',
  'tasks:write': 'End tasks',
  'mandates:read': 'See what people let agents do for them, and what was passed on of it',
  'mandates:write': 'Give, narrow, pause, resume and end mandates',
  'mandates:own': 'See the mandates of the agents of whoever answers for the caller',
  'guards:self': 'Learn, as a guard, what to guard',
  'trust_domains:read': 'See foreign trust domains',
  'trust_domains:write': 'Register, change, refresh and remove foreign trust domains',
  'issuers:read': 'See trusted issuers, and what their tokens let agents do',
  'issuers:write': 'Suspend and remove trusted issuers; with mandates:write, trust and change them',
  'events:read': 'Read the log',
  'events:own': 'Read what the log says of the agents of whoever answers for the caller',
  'events:write': 'Say how long events are kept',
  'revocations:read': 'See what was revoked, how far it reaches and who has acknowledged it',
  'revocations:write': 'Revoke anything of the organization',
  'revocations:own': 'Revoke the agents of whoever answers for the caller, and what is theirs',
  'drills:run': 'Rehearse a revocation',
  'exports:read': 'See where the log is exported to',
  'exports:write': 'Say where the log is exported to',
  'signals:read': 'See who is sent security signals, and from whom they are heard',
  'signals:write': 'Say who is sent security signals, and from whom they are heard',
  'keys:read': 'See the server’s signing keys (their public halves)',
  'keys:write': 'Rotate the server’s signing keys',
} as const;

export type AdminScope = keyof typeof adminScopes;

export const allAdminScopes = Object.keys(adminScopes) as AdminScope[];

/** What only being a guard gives; the built-in role `guard` carries it, and no other role can. */
export const guardScope: AdminScope = 'guards:self';

/** What the built-in role `operator` carries: everything but what makes a guard. */
export const operatorScopes = allAdminScopes.filter((scope) => scope !== guardScope);

/** What the built-in role `auditor` carries: to see, and nothing else. */
export const auditorScopes = allAdminScopes.filter((scope) => scope.endsWith(':read'));

/** What the built-in role `owner` carries: the caller's own owner says whose agents they are about. */
export const ownerScopes: AdminScope[] = ['events:own', 'revocations:own', 'mandates:own'];

/** The admin API's own resource identifier. */
export const adminResource = (config: { issuer: string }): string => `${config.issuer}/admin`;
