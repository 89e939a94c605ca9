/** Looking at documents without a server. */
import { loadPolicyEngine } from '../../../policy/engine.ts';
import { command } from '../../command.ts';
import { CliError, exitCodes } from '../../errors.ts';
import { painter, printable, show } from '../../output.ts';
import { mistakeLine, mistakesOf, readDocuments } from './documents.ts';

export const check = command({
  name: 'policy check',
  summary: 'Check policies in files: can they be read, and do they use words that there are? No server is asked.',
  description: 'It ends with 0 if all are right, and with 2 if one is not. Mistakes are told as FILE:LINE:COLUMN.',
  arguments: [{ name: 'file', many: true, description: 'Files such as read-only.cedar, or folders of them.' }],
  examples: [
    { command: 'bailiwick policy check read-only.cedar', does: 'One' },
    { command: 'bailiwick policy check policies/', does: 'Before a commit' },
  ],
  async run(context, [paths]) {
    const documents = readDocuments(context, paths);
    const mistakes = await mistakesOf(documents);
    const engine = await loadPolicyEngine();
    const wrong = new Set(mistakes.map(({ file }) => file));
    const right = documents
      .filter(({ file }) => !wrong.has(file))
      .map(({ file, name, text }) => ({ file, name, ...engine.check(text, name) }));
    const warnings = right.flatMap(({ file, warnings: all }) => all.map((warning) => ({ file, warning })));
    const { json } = context.globals;
    if (mistakes.length > 0 && !json) {
      const count = `${mistakes.length} of ${documents.length} ${documents.length === 1 ? 'policy' : 'policies'}`;
      throw new CliError('usage', `${count} can't be read:`, { details: mistakes.map(mistakeLine) });
    }
    show(context, { valid: mistakes.length === 0, mistakes, warnings }, () => {
      const paint = painter(context.io);
      const told = warnings.map(({ file, warning }) => paint('yellow', printable(`${file}: ${warning}`)));
      const good = right.map(({ name, statements }) => {
        const count = statements.length === 1 ? 'one statement' : `${statements.length} statements`;
        return `${name}: ${count}`;
      });
      return [...told, ...good, paint('green', 'All of it can be read.')].join('\n');
    });
    return mistakes.length === 0 ? exitCodes.ok.code : exitCodes.usage.code;
  },
});
