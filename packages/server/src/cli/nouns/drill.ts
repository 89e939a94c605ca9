import { openApi } from '../api.ts';
import { command, yes } from '../command.ts';
import { CliError } from '../errors.ts';
import { shortTime, show, table } from '../output.ts';
import { wholeNumber } from '../values.ts';

export interface DrillRow {
  probe: string;
  what?: string;
  id?: string;
  outcome: 'refused' | 'acknowledged' | 'lapsed' | 'still_accepts' | 'waiting' | 'not_asked';
  after_ms?: number;
  note?: string;
}

export interface Drill {
  id: string;
  completed_at: string;
  agent: string;
  for_real: boolean;
  verdict: 'passed' | 'failed' | 'incomplete';
  passed: boolean;
  took_ms: number;
  rows: DrillRow[];
  gaps: string[];
}

const titles: Record<string, string> = {
  guard: 'guard',
  admin_api: 'our admin API',
  service_api: 'our API for agents',
  listeners: 'our ports, over the network',
  introspection: 'introspection',
  signed_introspection: 'introspection, signed',
  token_request: 'a request for another token',
  instance_renewal: 'more time for an instance',
  task: 'a token of a task',
  status_list: 'the status list',
  resource: 'a request to the resource',
  signals: 'a receiver of security signals',
};

const outcomes: Record<DrillRow['outcome'], string> = {
  refused: 'refuses',
  acknowledged: 'knows',
  lapsed: 'trusts nothing',
  still_accepts: 'STILL ACCEPTS',
  waiting: 'HAS NOT ANSWERED',
  not_asked: 'not asked',
};

const styles = {
  refused: 'green',
  acknowledged: 'green',
  lapsed: 'yellow',
  still_accepts: 'red',
  waiting: 'red',
  not_asked: 'dim',
} as const;

const verdicts: Record<Drill['verdict'], string> = {
  passed: 'everybody refused',
  failed: 'SOMEBODY STILL ACCEPTED',
  incomplete: 'SHOWED NOTHING',
};

const duration = (ms: number | undefined) =>
  ms === undefined ? '' : ms < 10_000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;

const revoke = command({
  name: 'drill revoke',
  summary: 'Rehearse a revocation, and see how long everybody takes to refuse.',
  description:
    'A canary of the server’s own is given tokens, an instance and a task, and is then revoked. Guards, the server’s own APIs, introspection, the status list and ' +
    'whatever else can be asked are asked until they refuse. What came of it stands in the log. It ends with 1 if somebody still accepts, ' +
    'or if so little could be asked that nothing is shown. NOW: "refuses" was seen to; "knows" said that it has heard of it; "trusts nothing" is a guard whose lease ran out.',
  options: {
    agent: {
      value: 'AGENT',
      description: 'A real agent instead of the canary: it is suspended, and stays so until you resume it.',
    },
    'for-real': { description: 'Say that a real agent is meant.' },
    wait: { value: 'SECONDS', description: 'How long to wait for everybody, at most 120; 30 unless said.' },
    yes,
  },
  examples: [
    { command: 'bailiwick drill revoke', does: 'Does revocation work, and how fast?' },
    {
      command: 'bailiwick drill revoke --agent desk --for-real',
      does: 'Suspend a real agent, and see who acknowledges it',
    },
  ],
  async run(context, _args, { agent, 'for-real': forReal, wait, yes: sure }) {
    if (agent !== undefined && !forReal) {
      throw new CliError('usage', `${agent} would be suspended, and stay so: say --for-real if that is meant.`);
    }
    if (agent === undefined && forReal) throw new CliError('usage', 'Which agent? --for-real goes with --agent.');
    const { io } = context;
    if (agent !== undefined && !sure) {
      if (!io.interactive)
        throw new CliError('usage', `Nobody is there to ask whether ${agent} may be suspended: say --yes.`);
      const said = await io.ask(`Suspend ${agent} now? Type its name: `);
      if (said.trim() !== agent) throw new CliError('usage', 'Nothing was done.');
    }
    const drill = await openApi(context).post<Drill>('/drills', {
      ...(agent !== undefined && { agent, for_real: true }),
      ...(wait !== undefined && { wait_seconds: wholeNumber('--wait', wait, { most: 120 }) }),
    });
    show(context, drill, () => {
      const heads = {
        passed: `Everybody who was asked refuses. The last did after ${duration(drill.took_ms)}.`,
        failed: 'NOT EVERYBODY REFUSES. Look at the lines in red.',
        incomplete: 'THIS SHOWS NOTHING: not enough could be asked. The lines that say "not asked" say why.',
      };
      const head = heads[drill.verdict];
      const rows = table(
        context,
        drill.rows,
        [
          { title: 'WHO', value: ({ probe }) => titles[probe] ?? probe, whole: true },
          { title: 'WHICH', value: ({ what }) => what ?? '' },
          {
            title: 'NOW',
            value: ({ outcome }) => outcomes[outcome],
            style: ({ outcome }) => styles[outcome],
            whole: true,
          },
          { title: 'AFTER', value: ({ after_ms }) => duration(after_ms), whole: true },
          { title: '', value: ({ note }) => note ?? '' },
        ],
        'Nobody could be asked.',
      );
      const gaps = drill.gaps.map((gap) => `  - ${gap}`).join('\n');
      const resumed = drill.for_real ? `\n\nIt is suspended: bailiwick agents resume ${agent} lets it act again.` : '';
      return `${head}\n\n${rows}\n\nWhat nobody can call back:\n${gaps}${resumed}\n\nOn record as ${drill.id}.`;
    });
    return drill.passed ? 0 : 1;
  },
});

const list = command({
  name: 'drill list',
  summary: 'List rehearsed revocations, newest first.',
  examples: [{ command: 'bailiwick drill list', does: 'When was revocation last rehearsed, and what came of it?' }],
  async run(context) {
    const { items } = await openApi(context).get<{ items: Drill[] }>('/drills');
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'WHEN', value: (drill) => shortTime(drill.completed_at), whole: true },
          { title: 'ID', value: ({ id }) => id, whole: true },
          {
            title: 'OUTCOME',
            value: ({ verdict }) => verdicts[verdict],
            style: ({ passed }) => (passed ? 'green' : 'red'),
          },
          { title: 'AFTER', value: ({ took_ms }) => duration(took_ms) },
          { title: 'ON', value: ({ for_real, agent }) => (for_real ? agent : 'the canary') },
        ],
        'Never yet: bailiwick drill revoke.',
      ),
    );
  },
});

export const drillCommands = [revoke, list];
