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
    underWay += 1;
    try {
      const answers = await send(batch.map(({ question }) => question));
      if (answers.length !== batch.length) throw new Unavailable('the identity provider did not answer every question');
      for (const [index, { answer }] of batch.entries()) answer(answers[index]);
    } catch (error) {
      for (const { fail } of batch) fail(error);
    } finally {
      underWay -= 1;
    }
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
