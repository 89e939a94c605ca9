/** What the process ends with. Part of the interface: scripts rely on it. */
export const exitCodes = {
  ok: { code: 0, means: 'Done. For `--dry-run`: nothing would change.' },
  failed: { code: 1, means: 'It was tried and failed; `doctor` found something broken.' },
  usage: { code: 2, means: 'What was given is wrong (the command line, a file, a value): nothing was changed.' },
  unreachable: { code: 3, means: 'The server does not answer.' },
  refused: { code: 4, means: 'The server does not accept this identity, or does not allow it this.' },
  not_found: { code: 5, means: 'What was named does not exist.' },
  conflict: {
    code: 6,
    means: 'It contradicts what exists already: a name that is taken, a state that does not allow it.',
  },
  pending: { code: 7, means: '`--dry-run` found changes that would be made.' },
  incomplete: { code: 8, means: 'It was revoked, but not every guard had answered in time.' },
} as const;

export type ExitReason = keyof typeof exitCodes;

/**
 * For a name that is taken: says which, and what to do with what has it already.
 * @throws CliError always: with another message and hint for a conflict about a name, as it was for everything else
 */
export const nameTaken =
  (name: string, hint: string) =>
  (error: unknown): never => {
    if (!(error instanceof CliError) || error.reason !== 'conflict' || !/^name\b/i.test(error.message)) throw error;
    throw new CliError('conflict', error.message.replace(/^name/i, `"${name}"`), { hint, details: error.details });
  };

/** A failure that the person in front of the terminal can do something about. */
export class CliError extends Error {
  readonly reason: Exclude<ExitReason, 'ok'>;
  /** What to do next, as a sentence. */
  readonly hint: string | undefined;
  /** One line per wrong field. */
  readonly details: readonly string[];
  /** Of the answer, if the admin API refused. */
  readonly status: number | undefined;
  /** What the token endpoint said, for programs: its error code, and what policy wants. */
  readonly refusal: { error: string; requirements?: readonly unknown[] } | undefined;

  constructor(
    reason: Exclude<ExitReason, 'ok'>,
    message: string,
    {
      hint,
      details = [],
      status,
      refusal,
    }: {
      hint?: string | undefined;
      details?: readonly string[];
      status?: number | undefined;
      refusal?: CliError['refusal'];
    } = {},
  ) {
    super(message);
    this.name = 'CliError';
    this.reason = reason;
    this.hint = hint;
    this.details = details;
    this.status = status;
    this.refusal = refusal;
  }
}
