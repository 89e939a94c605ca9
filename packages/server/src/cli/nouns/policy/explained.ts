/** Explanations of policies as people read them. */
import type { TokenContext } from '@bailiwick/protocol';
import type { Context } from '../../command.ts';
import { contextInWords } from '../../context-options.ts';
import { painter, printable, type Style, shortTime, table } from '../../output.ts';

interface Statement {
  policy: string;
  action: string;
  effect: string;
  mode: string;
  outcome: 'satisfied' | 'not_satisfied' | 'error' | 'out_of_scope';
  because?: string;
  message?: string;
  reason?: string;
}

interface Said {
  decision: 'allow' | 'deny' | 'step_up';
  says: string;
  statements: Statement[];
  requirements: ({ type: string } & Record<string, unknown>)[];
  limits: Limits & { by?: (Limits & { policy: string })[] };
  observed?: { says: string };
}

interface Limits {
  context?: TokenContext;
  lifetime_seconds?: number;
}

interface AsOf {
  at: string;
  time_zone: string;
}

export interface AboutAgent extends Said {
  about: 'agent';
  agent: { id: string; name: string };
  as_of: AsOf;
  layers: { layer: string; decision: Said['decision']; says: string }[];
}

interface OneOfAll {
  agent: { id: string; name: string };
  decision: Said['decision'];
  says: string;
  requirements: Said['requirements'];
  /** Whether the resource is among those of its registration. */
  given: boolean;
}

export interface AboutAll {
  as_of: AsOf;
  items: OneOfAll[];
}

export interface AboutEvent {
  about: 'event';
  event: { id: string; at: string; type: string; outcome: string; reason?: string };
  asked: boolean;
  as_of?: AsOf;
  says: string;
  at_the_time?: Said & { revision: number };
  now?: Said & { revision: number };
  differs?: boolean;
}

const words = { allow: 'yes', deny: 'no', step_up: 'not yet' } as const;
const styles: Readonly<Record<Said['decision'], Style>> = { allow: 'green', deny: 'red', step_up: 'yellow' };

/** About one agent: layer by layer, then what the statements of its policies say. */
export function agentDescribed(context: Context, about: AboutAgent): string {
  const paint = painter(context.io);
  const { agent, decision, layers, says } = about;
  const width = Math.max(...layers.map(({ layer }) => layer.length));
  const head = `${printable(agent.name)}: ${paint(styles[decision], words[decision])}`;
  return [
    decision === 'allow' ? head : `${head}. ${printable(says)}`,
    '',
    ...layers.map(
      (one) =>
        `  ${one.layer.padEnd(width)}  ${paint(styles[one.decision], words[one.decision].padEnd(7))}  ${printable(one.says)}`,
    ),
    ...saidLines(context, about),
    '',
    asOfLine(context, about.as_of),
  ].join('\n');
}

/** At which time policies were asked, as they see it. */
function asOfLine(context: Context, { at, time_zone }: AsOf): string {
  const clock = (timeZone: string) => {
    const parts = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    }).formatToParts(Date.parse(at));
    const part = (name: string) => parts.find(({ type }) => type === name)?.value ?? '';
    return `${part('weekday')} ${part('hour')}:${part('minute')}`;
  };
  const line = `asked as of ${clock(time_zone)} ${time_zone} (the organization's time zone: ${time_zone})`;
  return painter(context.io)('dim', printable(line));
}

/** Statements that had a say, how many had none, and what follows. */
function saidLines(context: Context, { statements, requirements, limits, observed }: Said): string[] {
  const paint = painter(context.io);
  const told = statements.filter(({ outcome }) => outcome === 'satisfied' || outcome === 'error');
  const lines = told.flatMap(({ policy, action, effect, mode, outcome, message, reason }) => {
    const observed = mode === 'observe' ? ', observed only' : '';
    const what = outcome === 'error' ? `could not be evaluated: ${message}` : `${effect}s ${action}${observed}`;
    const style = effect === 'permit' && outcome === 'satisfied' ? 'green' : mode === 'observe' ? 'yellow' : 'red';
    const line = `  ${paint(style, printable(policy))}  ${printable(what)}`;
    return reason === undefined ? [line] : [line, `    ${printable(reason)}`];
  });
  const others = statements.length - told.length;
  const counted =
    others === 0
      ? []
      : [`  ${others} other ${others === 1 ? 'statement has' : 'statements have'} no say in it (--json lists them).`];
  const wanted = requirements.map((one) => `  It would take ${requirementWords(one)}.`);
  const narrowed = (limits.by ?? [limits]).flatMap(limitLines);
  const would = observed === undefined ? [] : [`  ${printable(observed.says)}`];
  const all = [...lines, ...counted, ...would, ...wanted, ...narrowed.map(printable)];
  return all.length === 0 ? [] : ['', 'Statements:', ...all];
}

/** What a token would be limited to, and by which policy. */
function limitLines({ policy, context, lifetime_seconds }: Limits & { policy?: string }): string[] {
  const by = policy === undefined ? '' : ` by policy ${policy}`;
  const place = context && contextInWords(context).replaceAll('\n', '; ');
  return [
    ...(place ? [`  Its token would be limited${by}: ${place}.`] : []),
    ...(lifetime_seconds === undefined
      ? []
      : [`  Its token would live for at most ${lifetime_seconds} seconds${by.replace(' by', ', by')}.`]),
  ];
}

function requirementWords({ type, ...rest }: { type: string } & Record<string, unknown>): string {
  switch (type) {
    case 'approval':
      return 'a human’s yes';
    case 'fresh_proof':
      return `a proof that is at most ${rest.max_age} seconds old`;
    case 'narrower':
      return 'a request for less';
    case 'binding':
      return `a token that is bound by ${rest.binding}`;
    case 'task':
      return 'a task that an orchestrator has opened';
    default:
      return type;
  }
}

/** About everybody: who may, who may not yet and why; the others counted, those who don't have the resource last. */
export function allDescribed(context: Context, { items, as_of }: AboutAll, all: boolean): string {
  const may = items.filter(({ decision }) => decision === 'allow');
  const notYet = items.filter(({ decision }) => decision === 'step_up');
  const given = items.filter((one) => one.decision === 'deny' && one.given);
  const others = items.filter((one) => one.decision === 'deny' && !one.given);
  const named = [...may, ...notYet];
  const shown = table(
    context,
    all ? [...named, ...given, ...others] : named,
    [
      { title: 'AGENT', value: ({ agent }) => agent.name },
      { title: 'MAY', value: ({ decision }) => words[decision], style: ({ decision }) => styles[decision] },
      { title: 'WHY', value: whyOf },
      { title: 'ID', value: ({ agent }) => agent.id, whole: true },
    ],
    all ? 'There are no active agents.' : 'Nobody may.',
  );
  const nobody = !all && may.length === 0 && notYet.length > 0 ? ['Nobody may.', ''] : [];
  const lines = [...nobody, shown];
  if (!all && given.length > 0) {
    const reasons = new Map<string, number>();
    for (const { says } of given) reasons.set(says, (reasons.get(says) ?? 0) + 1);
    lines.push('', `${given.length} may not (--all names them):`);
    for (const [says, number] of [...reasons].toSorted(([, a], [, b]) => b - a)) {
      lines.push(`  ${String(number).padStart(5)}  ${printable(says)}`);
    }
  }
  if (!all && others.length > 0) {
    const [count, have] =
      others.length === 1 ? ['1 other agent', 'does not have'] : [`${others.length} others`, 'do not have'];
    lines.push('', `${count} ${have} this resource at all (--all names ${others.length === 1 ? 'it' : 'them'}).`);
  }
  return [...lines, '', asOfLine(context, as_of)].join('\n');
}

/** With what would lift it, where something would. */
const whyOf = ({ says, decision, requirements }: OneOfAll): string =>
  decision === 'step_up' && requirements.length > 0
    ? `${says} It would take ${[...new Set(requirements.map(requirementWords))].join(', and ')}.`
    : says;

/** About what was decided: then, and how it would be now. */
export function eventDescribed(context: Context, about: AboutEvent): string {
  const paint = painter(context.io);
  const { event, says, at_the_time: then, now, differs } = about;
  const reason = event.reason === undefined ? '' : `: ${event.reason}`;
  const lines = [
    printable(`${event.type} at ${shortTime(event.at)}, ${event.outcome}${reason}`),
    paint(differs ? 'yellow' : 'dim', printable(says)),
  ];
  const part = (title: string, said: Said & { revision: number }) => [
    '',
    `${title} (revision ${said.revision}): ${paint(styles[said.decision], words[said.decision])}`,
    ...saidLines(context, said).slice(2),
  ];
  if (then) lines.push(...part('The policies of that time', then));
  if (now && (differs || !then)) lines.push(...part('The policies of today', now));
  if (about.as_of) lines.push('', asOfLine(context, about.as_of));
  return lines.join('\n');
}
