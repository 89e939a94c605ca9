/** Runs the cases that are written beside policies. No server is asked. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { caseFile } from '../../../policy/case-file.ts';
import { type CaseOutcome, runCases } from '../../../policy/cases.ts';
import { loadPolicyEngine, type PolicySource } from '../../../policy/engine.ts';
import { starterPolicies } from '../../../policy/starter.ts';
import { type Context, command } from '../../command.ts';
import { CliError, exitCodes } from '../../errors.ts';
import { painter, printable, show } from '../../output.ts';
import { readYamlFile } from '../../yaml-file.ts';
import { type Document, documentsIn, isPolicyFile, mustBeRight, readDocuments } from './documents.ts';

const casesExtension = '.cases.yaml';

/** A file of cases, and the policies that it is about. */
interface Suite {
  file: string;
  documents: Document[];
}

interface SuiteOutcome {
  file: string;
  policies: string[];
  cases: CaseOutcome[];
}

export const test = command({
  name: 'policy test',
  summary: 'Run the cases that are written beside policies. No server is asked.',
  description:
    'night.cases.yaml beside night.cedar is about that policy, next to the starter set (or to starter.cedar, if the folder has one). Cases that ' +
    'have no policy of their name are about all policies of the folder together, as --together makes all cases.\n' +
    'It ends with 0 if all is as the cases say, with 1 if a case is not, and with 2 if a file can’t be read. How cases are written: docs/guides/policies.md.',
  arguments: [{ name: 'file', many: true, description: 'Policies, files of cases, or folders of them.' }],
  options: {
    together: { description: 'Ask all policies of a folder together, as an organization has them.' },
    'no-starter': { description: 'Ask them without the starter set, which permits what roles give.' },
  },
  examples: [
    { command: 'bailiwick policy test policies/', does: 'In a pull request' },
    { command: 'bailiwick policy test night.cedar', does: 'The cases of one' },
  ],
  async run(context, [paths], options) {
    const suites = paths.flatMap((one) => suitesAt(context, one, options.together));
    if (suites.every(({ file }) => file === '')) {
      throw new CliError(
        'usage',
        `There are no cases: a file such as night${casesExtension} beside night.cedar holds them.`,
        {
          hint: 'docs/guides/policies.md shows how they are written.',
        },
      );
    }
    await mustBeRight([
      ...new Map(suites.flatMap(({ documents }) => documents.map((one) => [one.file, one]))).values(),
    ]);
    const outcomes: SuiteOutcome[] = [];
    for (const suite of suites) {
      if (suite.file !== '') outcomes.push(await outcomeOf(context, suite, !options['no-starter']));
    }
    const untested = suites
      .filter(({ file }) => file === '')
      .flatMap(({ documents }) => documents.map(({ name }) => name));
    const failed = outcomes.flatMap(({ cases }) => cases).filter(({ passed }) => !passed).length;
    show(context, shown(outcomes, untested, failed), () => described(context, outcomes, untested, failed));
    return failed === 0 ? exitCodes.ok.code : exitCodes.failed.code;
  },
});

/** The cases at a path. Policies without any are a suite without a file. */
function suitesAt(context: Context, given: string, together: boolean): Suite[] {
  const { cwd } = context.io;
  const stat = statSync(path.resolve(cwd, given), { throwIfNoEntry: false });
  if (!stat) throw new CliError('usage', `There is no file or folder ${given}.`);
  if (stat.isDirectory()) return suitesIn(context, given, together);
  if (isPolicyFile(given)) {
    const documents = readDocuments(context, [given]);
    const cases = given.replace(/\.cedar$/, casesExtension);
    return [{ file: existsSync(path.resolve(cwd, cases)) ? cases : '', documents }];
  }
  if (given.endsWith(casesExtension)) return [suiteOf(context, given, together)];
  throw new CliError('usage', `${given} is no policy (.cedar) and no file of cases (${casesExtension}).`);
}

function suitesIn(context: Context, folder: string, together: boolean): Suite[] {
  const files = readdirSync(path.resolve(context.io.cwd, folder))
    .filter((name) => name.endsWith(casesExtension))
    .toSorted();
  const suites = files.map((name) => suiteOf(context, path.join(folder, name), together));
  const tested = new Set(suites.flatMap(({ documents }) => documents.map(({ file }) => file)));
  const documents = documentsIn(context, folder).filter(({ file }) => !tested.has(file));
  return documents.length === 0 ? suites : [...suites, { file: '', documents }];
}

function suiteOf(context: Context, file: string, together: boolean): Suite {
  const folder = path.dirname(file);
  const own = file.slice(0, -casesExtension.length);
  const named = existsSync(path.resolve(context.io.cwd, `${own}.cedar`));
  if (!named || together) return { file, documents: documentsIn(context, folder) };
  const starter = path.join(folder, 'starter.cedar');
  const beside = existsSync(path.resolve(context.io.cwd, starter)) && path.basename(own) !== 'starter' ? [starter] : [];
  return { file, documents: readDocuments(context, [`${own}.cedar`, ...beside]) };
}

async function outcomeOf(context: Context, { file, documents }: Suite, withStarter: boolean): Promise<SuiteOutcome> {
  const cases = readYamlFile(context, file, caseFile);
  const engine = await loadPolicyEngine();
  const own = documents.map(({ name, text }): PolicySource => ({ name, text, mode: 'enforce' }));
  const starter = starterPolicies
    .filter(({ name }) => withStarter && !own.some((one) => one.name === name))
    .map((one): PolicySource => ({ ...one, mode: 'enforce' }));
  const set = engine.compile([...starter, ...own], 'test');
  return { file, policies: own.map(({ name }) => name), cases: runCases(engine, set, cases) };
}

const shown = (outcomes: readonly SuiteOutcome[], untested: readonly string[], failed: number) => ({
  passed: failed === 0,
  failed,
  suites: outcomes.map(({ file, policies, cases }) => ({
    file,
    policies,
    cases: cases.map(({ name, passed, differences, answer: { decision, determining } }) => ({
      name,
      passed,
      decision,
      by: determining.map(({ policy }) => policy),
      differences,
    })),
  })),
  untested,
});

function described(
  context: Context,
  outcomes: readonly SuiteOutcome[],
  untested: readonly string[],
  failed: number,
): string {
  const paint = painter(context.io);
  const lines = outcomes.flatMap(({ file, cases }) => {
    const wrong = cases.filter(({ passed }) => !passed);
    const head = `${file}: ${wrong.length === 0 ? count(cases.length, 'case') : `${wrong.length} of ${count(cases.length, 'case')} failed`}`;
    return [
      paint(wrong.length === 0 ? 'green' : 'red', printable(head)),
      ...wrong.flatMap(({ name, differences }) => [
        `  ${printable(name)}`,
        ...differences.map((difference) => `    ${printable(difference)}`),
      ]),
    ];
  });
  if (untested.length > 0) lines.push(paint('yellow', `Without cases: ${untested.map(printable).join(', ')}`));
  const total = outcomes.reduce((sum, { cases }) => sum + cases.length, 0);
  const end =
    failed === 0
      ? `All ${count(total, 'case')} are as they should be.`
      : `${failed} of ${count(total, 'case')} failed.`;
  return [
    ...lines,
    '',
    paint(failed === 0 ? 'green' : 'red', total === 1 && failed === 0 ? 'The case is as it should be.' : end),
  ].join('\n');
}

const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;
