/** What is wrong with a policy's text, and where. */
export class PolicyError extends Error {
  /** Name of the policy; '' where only a text was given. */
  policy: string;
  /** From 1 on, in the document. */
  line: number;
  /** From 1 on, in characters. */
  column: number;
  /** What would be right, where that can be said. */
  expected: string | undefined;

  constructor(message: string, where: { policy: string; line: number; column: number }, expected?: string) {
    super(message);
    this.name = 'PolicyError';
    this.policy = where.policy;
    this.line = where.line;
    this.column = where.column;
    this.expected = expected;
  }
}

/** A document and its name: enough to say where something is. */
export interface Source {
  name: string;
  text: string;
}

/**
 * An error at a place of a document.
 * @param at index into the text, in UTF-16 units
 */
export function errorAt(source: Source, at: number, message: string, expected?: string): PolicyError {
  const before = source.text.slice(0, at).split(/\r\n|\r|\n/);
  const column = [...(before.at(-1) ?? '')].length + 1;
  return new PolicyError(message, { policy: source.name, line: before.length, column }, expected);
}

/** Where a text is that ends after so many bytes of UTF-8, which is how Cedar counts. */
export function indexOfByte(text: string, bytes: number): number {
  return Buffer.from(text, 'utf8').subarray(0, bytes).toString('utf8').length;
}
