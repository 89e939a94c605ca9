/** In which order several questions are answered, and when the rest is of no interest. @see AuthZEN 1.0 §7.1.2.1 */
import { type Pause, pauses } from '../lib/pauses.ts';
import type { Semantic } from './question.ts';

/** After which answer nothing more is asked; `execute_all` has none. */
const stops: Record<Semantic, boolean | undefined> = {
  execute_all: undefined,
  deny_on_first_deny: false,
  permit_on_first_permit: true,
};

/**
 * Answers questions in their order: all of them, or up to and with the one that settles the matter.
 * One after the other, with pauses: none of them can be interrupted, and a hundred together would keep everybody else waiting.
 * @param answer must not throw for what is wrong with one question: that is an answer, too
 */
export async function inTurn<Question, Answer extends { decision: boolean }>(
  semantic: Semantic,
  questions: readonly Question[],
  answer: (question: Question) => Promise<Answer>,
  pause: Pause = pauses(),
): Promise<Answer[]> {
  const stop = stops[semantic];
  const answers: Answer[] = [];
  for (const question of questions) {
    const next = await answer(question);
    answers.push(next);
    if (next.decision === stop) break;
    await pause();
  }
  return answers;
}
