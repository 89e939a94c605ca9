import path from 'node:path';
import { type Api, openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { CliError, exitCodes } from '../errors.ts';
import { readIdentity } from '../identity.ts';
import { confirm } from '../io.ts';
import type { Mandate } from '../mandate-words.ts';
import { keepingDefinitions } from '../operation.ts';
import { painter } from '../output.ts';
import type {
  Agent,
  Credential,
  Guard,
  Person,
  Resource,
  Role,
  Team,
  TrustDomain,
  TrustedIssuer,
} from '../registry.ts';
import { mistaken, readPlacedYaml } from '../yaml-file.ts';
import type { Change, Present } from './changes.ts';
import { wantedCredentials } from './credentials.ts';
import { showPlan, titleOf } from './diff.ts';
import { type Doer, newDoer } from './do.ts';
import { type Fleet, fleetSchema } from './fleet.ts';
import { plan, presentResource } from './plan.ts';
import { presentPolicies, type WantedPolicy, wantedPolicies } from './policies.ts';
import { referenceMistakes } from './references.ts';
import { speaksOfTrustDomains, trustDomainMistakes, wantedBundles } from './trust-domains.ts';

export const apply = command({
  name: 'apply',
  summary:
    'Bring agents, keys, resources, roles, policies, trusted issuers and mandates to the state that a file describes.',
  description:
    'It shows what would change (+ made, ~ changed, - ended), asks, and does it. A second time it changes nothing. What the file says of a ' +
    'thing is the whole of it: a role, a key or an operation that is gone from its list is taken away. A field that the file leaves out ' +
    'stays as it is, and so does everything that it does not name, unless --prune is given. Keys are named by file (only the public half ' +
    'is sent) or as a public JWK; secrets and enrolment tokens are nothing for a file.\n' +
    '--dry-run changes nothing, and ends with 0 if nothing would change and 7 if something would. The format: docs/guides/agents-and-keys.md.',
  options: {
    file: { value: 'FILE', short: 'f', description: 'The fleet file (YAML).' },
    'dry-run': { description: 'Show what would change, and change nothing.' },
    prune: {
      description:
        'End agents, roles and resources that the file does not name, and policies, trusted issuers and named mandates where it names some. Guards, operators, what came with the program and what people gave elsewhere stay.',
    },
    yes,
  },
  examples: [
    { command: 'bailiwick apply -f fleet.yaml', does: 'Look at the difference, then say yes' },
    { command: 'bailiwick apply -f fleet.yaml --dry-run', does: 'In a pull request: what would it change?' },
    { command: 'bailiwick apply -f fleet.yaml --yes', does: 'In a pipeline' },
  ],
  async run(context, _args, options) {
    if (options.file === undefined) {
      throw new CliError('usage', '"apply" needs the fleet file: -f FILE.', { hint: 'See `bailiwick apply --help`.' });
    }
    const { data: fleet, say } = readPlacedYaml(context, options.file, fleetSchema);
    if (isEmpty(fleet)) {
      throw new CliError(
        'usage',
        `${options.file} describes nothing: no trust domains, people, teams, resources, roles, agents, policies, trusted issuers or mandates.`,
        {
          hint: 'Is it the file that you meant? The format: docs/guides/agents-and-keys.md.',
        },
      );
    }
    const folder = path.dirname(path.resolve(context.io.cwd, options.file));
    const credentials = wantedCredentials(context, fleet, folder, say);
    const bundles = wantedBundles(fleet, folder, say);
    const policies = await wantedPolicies(fleet, folder, say);
    const acting = inOrganization(context, fleet);
    const api = openApi(acting, readIdentity(acting), { fields: true });
    const { registered, ...present } = await readPresent(api, fleet, policies.wanted, context.io.now());
    keepDefinitions(fleet, present);
    const given = { credentials: credentials.wanted, registered, say };
    const mistakes = [
      ...bundles.mistakes,
      ...credentials.mistakes,
      ...policies.mistakes,
      ...referenceMistakes(fleet, present, given),
      ...trustDomainMistakes(fleet, present, say),
    ];
    if (mistakes.length > 0) throw mistaken(options.file, mistakes);
    const changes = plan(fleet, present, credentials.wanted, bundles.wanted, policies.wanted, { prune: options.prune });
    const { json } = context.globals;
    if (!json) context.io.out(`${showPlan(changes, painter(context.io))}\n`);
    const dry = options['dry-run'];
    if (!dry && changes.length > 0) {
      await confirm(context.io, 'This changes the server as shown.', options.yes);
      await confirmPruned(context, changes, options.yes);
      await doAll(context, newDoer(api, fleet, present, bundles.wanted, policies.wanted), changes);
    }
    if (json) {
      const shown = changes.map(({ action, noun, name, agent, fields }) => ({ action, noun, name, agent, fields }));
      context.io.out(`${JSON.stringify({ applied: !dry && changes.length > 0, changes: shown }, null, 2)}\n`);
    }
    return dry && changes.length > 0 ? exitCodes.pending.code : exitCodes.ok.code;
  },
});

/** Lines of a file say nothing of what tools were when somebody looked: that stays. */
function keepDefinitions(fleet: Fleet, present: Present): void {
  for (const [name, wanted] of Object.entries(fleet.resources)) {
    const known = presentResource(present, name, wanted);
    if (wanted.operations === undefined || known === undefined) continue;
    wanted.operations = keepingDefinitions(wanted.operations, known.operations);
  }
}

const isEmpty = ({ organization: _, ...fleet }: Fleet) =>
  Object.values(fleet).every((part) => Object.keys(part).length === 0);

/** What --prune ends is asked for by itself, with its count: a file that lost a part must not end a fleet unseen. */
async function confirmPruned(context: Context, changes: readonly Change[], sure: boolean): Promise<void> {
  const pruned = changes.filter((change) => change.pruned);
  if (pruned.length === 0) return;
  const counts = (['mandate', 'trusted_issuer', 'agent', 'role', 'resource', 'policy'] as const)
    .map((noun) => [pruned.filter((change) => change.noun === noun).length, noun] as const)
    .filter(([count]) => count > 0)
    .map(([count, noun]) => [count, noun.replace('_', ' ')] as const)
    .map(([count, noun]) => `${count} ${count === 1 ? noun : noun.replace(/y$/, 'ie').concat('s')}`);
  const what = `--prune ends for good what the file does not name: ${counts.join(', ')}.`;
  if (sure && !context.globals.json) context.io.out(`${what}\n`);
  await confirm(context.io, what, sure);
}

async function doAll(context: Context, doer: Doer, changes: readonly Change[]): Promise<void> {
  for (const [index, change] of changes.entries()) {
    try {
      await doer.do(change);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      const done = `${index} of ${changes.length} changes were made before it.`;
      throw new CliError(error.reason, `Stopped at ${titleOf(change)}: ${error.message}`, {
        hint: `${done} ${error.hint ?? 'Mend the file and apply it again: what is done stays done.'}`,
        details: error.details,
      });
    }
  }
  if (!context.globals.json) context.io.out('Done.\n');
}

function inOrganization(context: Context, fleet: Fleet): Context {
  const flag = context.globals.organization;
  if (fleet.organization === undefined) return context;
  if (flag !== undefined && flag !== fleet.organization) {
    throw new CliError(
      'usage',
      `The file is about the organization ${fleet.organization}, and --organization says ${flag}.`,
    );
  }
  return { ...context, globals: { ...context.globals, organization: fleet.organization } };
}

async function readPresent(
  api: Api,
  fleet: Fleet,
  policies: ReadonlyMap<string, WantedPolicy>,
  now: number,
): Promise<Present & { registered: readonly Credential[] }> {
  const agents = await api.list<Agent>('/agents');
  const guards = await api.list<Guard>('/guards');
  const teams: Present['teams'][number][] = [];
  for (const team of await api.list<Team>('/teams')) {
    const members = await api.list<Person>(`/teams/${team.id}/members`);
    teams.push({ ...team, members: members.map(({ id }) => id) });
  }
  const registered: Credential[] = [];
  for (const kind of ['public_key', 'certificate', 'certificate_subject', 'spiffe_id']) {
    registered.push(...(await api.list<Credential>('/credentials', { kind })));
  }
  const operators = agents.filter(({ roles }) => roles.some(({ name }) => name === 'operator'));
  return {
    trustDomains: speaksOfTrustDomains(fleet) ? await api.list<TrustDomain>('/trust-domains') : [],
    agents,
    policies: await presentPolicies(api, policies),
    teams,
    people: await api.list<Person>('/people'),
    resources: await api.list<Resource>('/resources'),
    roles: await api.list<Role>('/roles'),
    issuers: Object.keys(fleet.trusted_issuers).length > 0 ? await api.list<TrustedIssuer>('/trusted-issuers') : [],
    mandates: Object.keys(fleet.mandates).length > 0 ? await api.list<Mandate>('/mandates', { named: 'true' }) : [],
    now,
    registered,
    credentials: registered.filter(({ status }) => status !== 'removed'),
    kept: new Set([api.identity.client_id, ...guards.map(({ agent }) => agent), ...operators.map(({ id }) => id)]),
  };
}
