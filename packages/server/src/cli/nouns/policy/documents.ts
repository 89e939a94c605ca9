/** Policy documents as they lie in a folder: `read-only.cedar` is the policy `read-only`. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { loadPolicyEngine } from '../../../policy/engine.ts';
import { PolicyError } from '../../../policy/policy-error.ts';
import type { Context } from '../../command.ts';
import { CliError } from '../../errors.ts';

export interface Document {
  /** The file as it was named, or found in the folder that was. */
  file: string;
  /** Of the policy: the file's name without `.cedar`. */
  name: string;
  text: string;
}

/** A mistake of a document. */
export interface Mistake {
  file: string;
  line: number;
  column: number;
  message: string;
  expected?: string;
}

const extension = '.cedar';
const slug = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;

/**
 * The documents that these files and folders are.
 * @throws CliError (usage) for what isn't there, is no policy, or is there twice
 */
export function readDocuments({ io }: Context, paths: readonly string[]): Document[] {
  const documents = paths.flatMap((one) => filesAt(io.cwd, one)).map((file) => readDocument(io.cwd, file));
  const names = new Map<string, string>();
  for (const { name, file } of documents) {
    const other = names.get(name);
    if (other === file) throw new CliError('usage', `${file} is named twice.`);
    if (other !== undefined) throw new CliError('usage', `${other} and ${file} are both the policy "${name}".`);
    names.set(name, file);
  }
  return documents;
}

export const isPolicyFile = (file: string): boolean => file.endsWith(extension);

/** The documents that lie in a folder; none is fine. */
export function documentsIn(context: Context, folder: string): Document[] {
  const names = readdirSync(path.resolve(context.io.cwd, folder)).filter(isPolicyFile);
  return readDocuments(
    context,
    names.toSorted().map((name) => path.join(folder, name)),
  );
}

function filesAt(cwd: string, given: string): string[] {
  const stat = statSync(path.resolve(cwd, given), { throwIfNoEntry: false });
  if (!stat) throw new CliError('usage', `There is no file or folder ${given}.`);
  if (!stat.isDirectory()) return [given];
  const files = readdirSync(path.resolve(cwd, given)).filter(isPolicyFile);
  if (files.length > 0) return files.toSorted().map((name) => path.join(given, name));
  throw new CliError('usage', `There is no policy in ${given}.`, {
    hint: `Policies are files that end with ${extension}.`,
  });
}

function readDocument(cwd: string, file: string): Document {
  const base = path.basename(file);
  const name = base.endsWith(extension) ? base.slice(0, -extension.length) : base;
  if (!base.endsWith(extension) || !slug.test(name)) {
    throw new CliError('usage', `${file} can't be a policy by its name.`, {
      hint: `A policy is a file such as read-only${extension}: lowercase letters, digits, dots, hyphens or underscores.`,
    });
  }
  return { file, name, text: readFileSync(path.resolve(cwd, file), 'utf8') };
}

/** Everything that is wrong with documents, each by itself. Nothing is asked of a server. */
export async function mistakesOf(documents: readonly Document[]): Promise<Mistake[]> {
  const engine = await loadPolicyEngine();
  return documents.flatMap(({ file, text }) => {
    try {
      engine.check(text);
      return [];
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      const { line, column, message, expected } = error;
      return [{ file, line, column, message, ...(expected !== undefined && { expected }) }];
    }
  });
}

/** `night.cedar:3:5: unexpected token; expected …`: as editors and CI read it. */
export const mistakeLine = ({ file, line, column, message, expected }: Mistake): string =>
  `${file}:${line}:${column}: ${message}${expected === undefined ? '' : `; expected ${expected}`}`;

/** @throws CliError (usage) with a line for each mistake */
export async function mustBeRight(documents: readonly Document[]): Promise<void> {
  const mistakes = await mistakesOf(documents);
  if (mistakes.length === 0) return;
  const [only] = mistakes;
  if (mistakes.length === 1 && only) throw new CliError('usage', mistakeLine(only));
  throw new CliError('usage', `${mistakes.length} policies can't be read:`, { details: mistakes.map(mistakeLine) });
}
