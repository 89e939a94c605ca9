/** Tells the demo in plain words, and notices when a step did not go as told. Colours on a terminal only. */
import type { DecisionRecord } from '@bailiwick/guard';
import type { AuditRecord } from './stage.ts';

export interface Narrator {
  /** Something that is so, without being a step. */
  say(line: string): void;
  step(title: string, story: string): void;
  /** What happened, and whether that is what should have. */
  happened(what: string, asExpected: boolean): void;
  /** What the guard wrote down. */
  decided(decision: DecisionRecord | undefined, wanted: Partial<DecisionRecord>): void;
  /** What the identity provider wrote down. */
  recorded(record: AuditRecord | undefined, wanted: Partial<AuditRecord>, what?: string): void;
  /** The last word; the number of things that were not as told. */
  end(): number;
}

export function narrator(out: { write(text: string): unknown; isTTY?: boolean }): Narrator {
  const colour = out.isTTY === true && process.env.NO_COLOR === undefined;
  const paint = (code: number, text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const say = (line = '') => out.write(`${line}\n`);
  let steps = 0;
  let wrong = 0;

  function note(label: string, text: string, asExpected: boolean): void {
    if (!asExpected) wrong += 1;
    const mark = asExpected ? paint(32, '✓') : paint(31, '✗');
    say(`   ${mark} ${paint(2, label.padEnd(9))}${text}${asExpected ? '' : paint(31, '   ← not as it should be')}`);
  }

  return {
    say,
    step(title, story) {
      steps += 1;
      say(`\n${paint(1, `${steps}. ${title}`)}\n   ${story}`);
    },
    happened: (what, asExpected) => note('answer', what, asExpected),
    decided(decision, wanted) {
      const { outcome = 'nothing', operation, code, reason } = decision ?? {};
      const why = code === undefined ? `"${operation}"` : `${code} (${reason})`;
      note('guard', `${outcome}: ${why}`, fits(decision, wanted));
    },
    recorded(record, wanted, what) {
      if (record === undefined) return note('record', 'nothing is on record', false);
      const { id, type, reason } = record;
      const more = [reason, what].filter(Boolean).join(', ');
      note('record', `${type}${more ? ` (${more})` : ''}  ${paint(2, id)}`, fits(record, wanted));
    },
    end() {
      say(wrong === 0 ? paint(32, '\nEvery step went as told.') : paint(31, `\n${wrong} things were not as told.`));
      return wrong;
    },
  };
}

function fits<Row extends object>(row: Row | undefined, wanted: Partial<Row>): boolean {
  return row !== undefined && Object.entries(wanted).every(([name, value]) => row[name as keyof Row] === value);
}
