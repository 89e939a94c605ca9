/** What the command line says of a revocation: how far it reaches, and who has answered. */
import type { Context } from './command.ts';
import { fields, shortTime, table } from './output.ts';
import type { Acknowledgement, RevocationReach } from './registry.ts';

/** Kinds as one types them. */
export const kindWords: Readonly<Record<string, string>> = {
  agent: 'agent',
  token: 'token',
  task: 'task',
  mandate: 'mandate',
  'trusted-issuer': 'trusted_issuer',
  instance: 'instance',
  credential: 'credential',
  role: 'role',
  'role-grant': 'role_grant',
  person: 'person',
  team: 'team',
  organization: 'organization',
  resource: 'resource',
  key: 'key',
};

/** What is about to be done, in a sentence that one understands at night. */
export function whatItDoes({ kind, name, subject, effect }: RevocationReach): string {
  const it = name === subject ? `${words(kind)} ${subject}` : `${words(kind)} ${name} (${subject})`;
  if (kind === 'person' && effect === 'tokens')
    return `This ends every token by which something acts for ${it}. The person, and what they own, goes on.`;
  if (kind === 'person' || kind === 'team') return `This ${agentsToo[effect]} ${it} answers for.`;
  if (kind === 'key')
    return `This withdraws the signing ${it}: a successor signs at once, and every token that it signed is dead.`;
  if (kind === 'mandate' && effect !== 'tokens') {
    const until = effect === 'suspend' ? 'stops the' : 'ends the';
    const how = effect === 'suspend' ? 'until it is resumed' : 'for good';
    return `This ${until} ${it} ${how}, with all that was passed on of it, and the tokens of any of these.`;
  }
  if (kind === 'trusted_issuer' && effect !== 'tokens') {
    const until = effect === 'suspend' ? 'until it is resumed' : 'any more';
    return `This takes no tokens of the ${it} ${until}, and ends every token that came by one.`;
  }
  if (effect === 'suspend')
    return `This stops the ${it} until it is resumed, with all its tokens, instances and tasks.`;
  if (effect === 'tokens')
    return `This ends every token that rests on the ${it} until now. It goes on, and new ones can be had.`;
  return `This ends the ${it} for good, with all that hangs on it.`;
}

const agentsToo = {
  suspend: 'stops all agents, until each is resumed, that',
  end: 'ends all agents for good that',
  tokens: 'ends all tokens, until now, of the agents that',
} as const;

/** @param kind as the API has it */
export const words = (kind: string): string => kind.replaceAll('_', ' ');

/** How far it reaches, one line for each thing that there is. */
export function reachInWords(context: Context, reach: RevocationReach): string {
  const { agents, instances, tasks, mandates, credentials, tokens, resources, gaps } = reach;
  const names = agents.names.join(', ');
  return fields(context, [
    [
      'agents',
      agents.count === 0
        ? undefined
        : `${counted(agents)}${names === '' ? '' : `: ${names}${agents.count > agents.names.length ? ', …' : ''}`}`,
    ],
    ['instances', instances === 0 ? undefined : `${instances}, running now`],
    ['tasks', tasks === 0 ? undefined : `${tasks}, open now`],
    ['mandates', mandates === 0 ? undefined : `${mandates}, of no use without it`],
    ['credentials', credentials === 0 ? undefined : String(credentials)],
    ['tokens', tokensInWords(tokens)],
    [
      'guarded by',
      resources
        .map(
          ({ name, guards }) =>
            `${name} (${guards.length === 0 ? 'no guard' : guards.map((guard) => guard.name).join(', ')})`,
        )
        .join('\n') || 'no guard: no unexpired token for any API rests on it',
    ],
    [
      'not called back',
      gaps
        .map(({ what, until }) => `${what}${until === undefined ? '' : `, ${shortTime(until)} at the latest`}`)
        .join('\n'),
    ],
  ]);
}

function tokensInWords(tokens: RevocationReach['tokens']): string {
  if (tokens === undefined) return 'unknown: they are of every organization';
  const { count, more, until } = tokens;
  if (more) return `${count} unexpired or more: there are too many to count now`;
  if (count === 0) return 'none unexpired';
  return `${count} unexpired${until === undefined ? '' : `, the last until ${shortTime(until)}`}`;
}

const counted = ({ count, more }: { count: number; more: boolean }): string => `${count}${more ? ' or more' : ''}`;

export interface Answered {
  resource: string;
  guard: string;
  answer: 'applied' | 'asks' | 'lease ran out' | 'no answer yet' | 'none to wait for' | 'NOT KNOWN' | 'hears nothing';
  after: string;
}

/** Who answered, and how long after; and who was not asked: one row for each guard. @param revokedAt RFC 3339 */
export function answersOf(
  { resources }: Acknowledgement,
  revokedAt: string,
  nameOf: (id: string) => string,
): Answered[] {
  const since = (time: string | undefined) =>
    time === undefined ? '' : tookWords(Date.parse(time) - Date.parse(revokedAt));
  return resources.flatMap(({ resource: id, acknowledged_at, guards, unknown, unguarded }): Answered[] => {
    const resource = nameOf(id);
    const answered = guards.map(
      ({ guard, applied_at, lapsed, asked }): Answered => ({
        resource,
        guard: nameOf(guard),
        answer: applied_at ? 'applied' : asked ? 'asks' : lapsed ? 'lease ran out' : 'no answer yet',
        after: since(applied_at ?? (lapsed || asked ? acknowledged_at : undefined)),
      }),
    );
    const silent = unknown.map(
      (guard): Answered => ({ resource, guard: nameOf(guard), answer: 'NOT KNOWN', after: '' }),
    );
    const all = [...answered, ...silent];
    if (all.length > 0) return all;
    if (unguarded) return [{ resource, guard: 'no guard', answer: 'hears nothing', after: '' }];
    const answer = acknowledged_at ? 'none to wait for' : 'no answer yet';
    return [{ resource, guard: 'asks about each token', answer, after: since(acknowledged_at) }];
  });
}

/** `12 ms`, `1.8 s`. */
export const tookWords = (ms: number): string =>
  ms < 1000 ? `${Math.max(0, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;

const styles = {
  applied: 'green',
  asks: 'green',
  'none to wait for': 'green',
  'lease ran out': 'yellow',
  'no answer yet': 'red',
  'NOT KNOWN': 'red',
  'hears nothing': 'red',
} as const;

export const answersTable = (context: Context, answers: readonly Answered[]): string =>
  table(
    context,
    answers,
    [
      { title: 'RESOURCE', value: ({ resource }) => resource },
      { title: 'GUARD', value: ({ guard }) => guard },
      {
        title: 'ANSWER',
        value: ({ answer }) => answer,
        style: ({ answer }) => styles[answer],
      },
      { title: 'AFTER', value: ({ after }) => after },
    ],
    'No guard had to be told: no unexpired token rested on it.',
  );
