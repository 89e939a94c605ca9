/** Questions of one moment travel in one request, and each is waited for no longer than its budget. */
import { Unavailable } from './json-client.ts';
import type { Runtime } from './runtime.ts';

export interface Batching {
  /** How long a question is waited for, its time in the batch included. Milliseconds. */
  budgetMs: number;
  /** How long the first question of a batch waits for others. Milliseconds. */
  batchMs: number;
  /** Requests under way at once. */
  maxConcurrent: number;
}

/** Asks one question, as JSON, and gives the answer to it. @throws Unavailable when there is none in time */
export type Ask = (question: string) => Promise<unknown>;

/** As many as the decision point takes, and no larger than a server with small limits does. */
const mostQuestions = 100;
const mostLetters = 32 * 1024;

type Outcome = { answer: unknown } | { error: unknown };

/** Bad JSON, too large, not understood: then nothing of it was decided. */
const isAboutTheBody = (error: unknown) =>
  error instanceof Unavailable && [400, 413, 422].includes(error.status as number);

interface Waiting {
  question: string;
  answer: (answer: unknown) => void;
  fail: (error: unknown) => void;
}

/**
 * @param send sends questions and gives their answers, in their order
 */
export function batcher(
  runtime: Pick<Runtime, 'after'>,
  { budgetMs, batchMs, maxConcurrent }: Batching,
  send: (questions: readonly string[]) => Promise<readonly unknown[]>,
): Ask {
  let waiting: Waiting[] = [];
  let letters = 0;
  let stopTimer = () => {};
  let underWay = 0;

  async function flush(): Promise<void> {
    stopTimer();
    const batch = waiting;
    waiting = [];
    letters = 0;
    if (batch.length === 0) return;
    const outcomes = await outcomesOf(batch.map(({ question }) => question));
    for (const [index, { answer, fail }] of batch.entries()) {
      const outcome = outcomes[index] as Outcome;
      if ('error' in outcome) fail(outcome.error);
      else answer(outcome.answer);
    }
  }

  /** One question that can't be read must not cost the others their answers: a refused batch is asked again in halves, until only that one is refused. */
  async function outcomesOf(questions: readonly string[]): Promise<Outcome[]> {
    underWay += 1;
    try {
      const answers = await send(questions);
      if (answers.length !== questions.length)
        throw new Unavailable('the identity provider did not answer every question');
      return answers.map((answer) => ({ answer }));
    } catch (error) {
      if (questions.length === 1 || !isAboutTheBody(error)) return questions.map(() => ({ error }));
    } finally {
      underWay -= 1;
    }
    const half = questions.length >> 1;
    return (await Promise.all([outcomesOf(questions.slice(0, half)), outcomesOf(questions.slice(half))])).flat();
  }

  function add(question: string, one: Omit<Waiting, 'question'>): void {
    if (letters + question.length > mostLetters) void flush();
    waiting.push({ question, ...one });
    letters += question.length;
    if (waiting.length === mostQuestions) void flush();
    else if (waiting.length === 1) stopTimer = runtime.after(batchMs, () => void flush());
  }

  return (question) =>
    new Promise((resolve, reject) => {
      if (underWay >= maxConcurrent)
        throw new Unavailable(`${maxConcurrent} questions to the decision point are under way already`);
      const stop = runtime.after(budgetMs, () =>
        reject(new Unavailable(`the decision point did not answer within ${budgetMs} ms`)),
      );
      const done =
        <Value>(settle: (value: Value) => void) =>
        (value: Value) => {
          stop();
          settle(value);
        };
      add(question, { answer: done(resolve), fail: done(reject) });
    });
}
