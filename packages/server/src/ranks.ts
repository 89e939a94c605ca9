/**
 * The house in one table: what may import what (design in ARCHITECTURE.md). A room is a folder of this one, or a file that stands
 * here alone. Imports go downwards only, and rooms of one rank don't know each other; what they need of each other
 * comes as arguments. When a flow pinches, change the table on purpose. `import-ranks.test.ts` holds the code against it.
 */
export const rooms: Readonly<Record<string, number>> = {
  // where everything is put together: one room in several files, see `compositionRank`
  'main.ts': 11,
  'index.ts': 11,
  'app.ts': 11,
  'listen.ts': 11,
  'mutual-tls.ts': 11,
  'server-certificate.ts': 11,
  'health.ts': 11,
  'jobs.ts': 11,
  cli: 11,

  // what answers requests
  oauth: 10,
  admin: 10,
  enrol: 10,
  orchestrate: 10,
  delegate: 10,
  pdp: 10,
  pages: 10,
  feed: 10,
  reports: 10,
  signals: 10,
  spiffe: 10,

  'client-auth': 9,
  grants: 9,
  web: 9,
  drills: 9,

  revocations: 8,
  'feed-leases': 8,
  exports: 8,
  ssf: 8,

  tokens: 7,
  svid: 7,

  decide: 6,
  log: 6,

  resources: 5,
  people: 5,
  credentials: 5,
  tasks: 5,
  'status-lists': 5,
  mandates: 5,
  federation: 5,
  leases: 5,

  agents: 4,
  keys: 4,
  policy: 4,

  audit: 3,
  liveness: 3,

  store: 2,

  lib: 1,
};

/** The rooms of this rank make up one: they put the others together. */
export const compositionRank = 11;

/** Stand beside the ranks: anyone may import them. `deps.ts` may name the type of everything it hands around. */
export const beside: readonly string[] = [
  'config.ts',
  'config-schema.ts',
  'config-exports.ts',
  'config-network.ts',
  'config-feed.ts',
  'config-signals.ts',
  'config-values.ts',
  'deps.ts',
];

/** May import anything, and is imported by tests and by what lies outside of this package (examples, conformance, bench). */
export const testRooms: readonly string[] = ['testing', 'ranks.ts'];

/** Only what speaks HTTP knows the web framework: these ranks and those above. */
export const webRank = 9;

/** What each package may import of the others, tests aside. */
export const packages: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  agent: ['protocol'],
  guard: ['protocol', 'agent'],
  server: ['protocol', 'agent'],
};
