/** What each endpoint answers: decided first, then on record, then told. */
import { appendEvent, sealingFor } from '../audit/audit.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import type { Asking } from './asking.ts';
import { inTurn } from './batch.ts';
import type { PdpEndpoint } from './endpoints.ts';
import { evaluate } from './evaluate.ts';
import { type Question, readEvaluation, readEvaluations } from './question.ts';
import { search } from './search.ts';
import type { AnswerContext, Verdict } from './verdict.ts';

interface Decision {
  decision: boolean;
  context?: AnswerContext;
}

type Answer = (deps: Deps, asking: Asking, body: unknown) => Promise<object>;

/** @throws Problem 400 for what can't be read. What can be read and is refused is an answer: `{"decision": false}` */
export const answers: Record<PdpEndpoint, Answer> = {
  evaluation: async (deps, asking, body) => decided(deps, asking, readEvaluation(body)),

  async evaluations(deps, asking, body) {
    const asked = readEvaluations(body);
    if (!('questions' in asked)) return decided(deps, asking, asked);
    const verdicts = await inTurn(asked.semantic, asked.questions, (each) =>
      'wrong' in each ? unreadable(each.wrong) : evaluate(deps, asking, each),
    );
    return { evaluations: await onRecord(deps, asking, verdicts) };
  },

  subject: (deps, asking, body) => searched(deps, asking, 'subject', body),
  resource: (deps, asking, body) => searched(deps, asking, 'resource', body),
  action: (deps, asking, body) => searched(deps, asking, 'action', body),
};

async function decided(deps: Deps, asking: Asking, question: Question): Promise<Decision> {
  const [answer] = await onRecord(deps, asking, [await evaluate(deps, asking, question)]);
  return answer as Decision;
}

type Told = Pick<Verdict, 'decision' | 'context'> & Partial<Verdict>;

/** Nothing was decided about what nobody could read, so it leaves no line. */
const unreadable = async (message: string): Promise<Told> => ({
  decision: false,
  context: { error: { status: 400, message } },
});

/** Writes a line for each decision, all in one transaction, and answers when they are durable. */
async function onRecord(deps: Deps, asking: Asking, verdicts: readonly Told[]): Promise<Decision[]> {
  const ids = await written(
    deps,
    asking,
    verdicts.map(({ event, sealedFor = asking.agent.owner }) => event && { event, sealedFor }),
  );
  return verdicts.map(({ decision, context }, index) => {
    const id = ids[index];
    return { decision, context: { ...context, ...(id !== undefined && { id }) } };
  });
}

async function searched(
  deps: Deps,
  asking: Asking,
  kind: 'subject' | 'resource' | 'action',
  body: unknown,
): Promise<object> {
  const { answer, event, owner } = await search(deps, asking, kind, body);
  await written(deps, asking, [{ event, sealedFor: owner }]);
  return answer;
}

async function written(
  deps: Deps,
  asking: Asking,
  lines: readonly ({ event: AuditEvent; sealedFor: string } | undefined)[],
): Promise<(string | undefined)[]> {
  const sealed = await Promise.all(
    lines.map(
      async (line) => line && { ...line, sealing: await sealingFor(deps, asking.caller.asOf.version, line.sealedFor) },
    ),
  );
  return deps.db.settle(async (tx) => {
    const ids: (string | undefined)[] = [];
    for (const line of sealed) ids.push(line && (await appendEvent(tx, deps, line.sealing, line.event)));
    return ids;
  });
}
