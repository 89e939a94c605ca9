/** What the annotations of a statement say. There are no others: one that is misspelt would silently mean nothing. */
import { ProtocolError, parseContext, parseHours, type Requirement, type TokenContext } from '@bailiwick/protocol';
import { didYouMeanHint } from '../lib/did-you-mean.ts';
import { hasHidden } from './scan.ts';

export interface Annotated {
  id: string;
  reason: string | undefined;
  /** Whether the client may be told the reason. */
  public: boolean;
  /** Of a `forbid`: what would lift it. None: nothing does. */
  requirements: readonly Requirement[];
  /** Of a `permit`: where what it permits may be used. */
  context: TokenContext | undefined;
  /** Of a `permit`: how long, at most, in seconds. */
  lifetimeSeconds: number | undefined;
}

/** What is wrong, and with which annotation: who reads the document knows where it stands. */
export class AnnotationError extends Error {
  annotation: string | undefined;
  expected: string | undefined;

  constructor(annotation: string | undefined, message: string, expected?: string) {
    super(message);
    this.name = 'AnnotationError';
    this.annotation = annotation;
    this.expected = expected;
  }
}

const onBoth = ['id', 'reason', 'public'];
const onPermit = ['limit_ip', 'limit_country', 'limit_zone', 'limit_hours', 'limit_lifetime'];
const onForbid = ['step_up'];
const all = [...onBoth, ...onPermit, ...onForbid];

const longestReason = 500;
const longestLifetime = 900;

/**
 * Reads the annotations of a statement.
 * @throws AnnotationError for one that is unknown, on the wrong kind of statement, or has a value that it can't have
 */
export function readAnnotations(
  effect: 'permit' | 'forbid',
  given: Readonly<Record<string, string | null>> = {},
): Annotated {
  const values = new Map(Object.entries(given).map(([name, value]) => [name, value ?? '']));
  for (const [name, value] of values) {
    if (!all.includes(name)) {
      const hint = didYouMeanHint(name, all);
      throw new AnnotationError(
        name,
        `there is no annotation @${name}.${hint}`,
        `one of ${all.map((each) => `@${each}`).join(', ')}`,
      );
    }
    if (effect === 'permit' && onForbid.includes(name))
      throw new AnnotationError(name, `@${name} stands on forbid only`);
    if (effect === 'forbid' && onPermit.includes(name))
      throw new AnnotationError(name, `@${name} stands on permit only`);
    if (hasHidden(value) || /[\t\n\r]/.test(value)) {
      throw new AnnotationError(name, `@${name} must be one line of characters that can be seen`);
    }
  }
  const reason = values.get('reason');
  if (reason !== undefined && (reason.trim() === '' || reason.length > longestReason)) {
    throw new AnnotationError('reason', `@reason must have 1 to ${longestReason} characters`);
  }
  const isPublic = values.get('public');
  if (isPublic !== undefined && isPublic !== '' && isPublic !== 'true') {
    throw new AnnotationError('public', '@public has no value', '@public');
  }
  if (isPublic !== undefined && reason === undefined) {
    throw new AnnotationError('public', '@public lets the reason be told, so there must be a @reason');
  }
  return {
    id: idOf(values.get('id')),
    reason,
    public: isPublic !== undefined,
    requirements: values.has('step_up') ? requirementsOf(values.get('step_up') as string) : [],
    context: contextOf(values),
    lifetimeSeconds: lifetimeOf(values.get('limit_lifetime')),
  };
}

function idOf(id: string | undefined): string {
  const expected = '@id("name"), unique in the policy';
  if (id === undefined) throw new AnnotationError(undefined, 'a statement must have an @id', expected);
  if (!/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/.test(id)) {
    throw new AnnotationError('id', '@id must be 1 to 63 letters, digits, dots, underscores and hyphens', expected);
  }
  return id;
}

const howToStepUp =
  '"approval", "fresh_proof <seconds>", "narrower", "binding dpop", "binding mtls" or "task"; several with commas';

function requirementsOf(text: string): Requirement[] {
  const requirements = text.split(',').map((part) => requirementOf(part.trim()));
  if (new Set(requirements.map(({ type }) => type)).size !== requirements.length) {
    throw new AnnotationError('step_up', '@step_up names one thing twice', howToStepUp);
  }
  return requirements;
}

function requirementOf(text: string): Requirement {
  const requirement = readRequirement(text);
  if (requirement !== undefined) return requirement;
  throw new AnnotationError('step_up', `@step_up("${text}") is nothing that a client could do`, howToStepUp);
}

/** Reads a requirement as policies write it: `approval`, `fresh_proof 60`. */
export function readRequirement(text: string): Requirement | undefined {
  const [type, value, ...rest] = text.split(/\s+/);
  if (rest.length > 0) return undefined;
  if (value === undefined && (type === 'approval' || type === 'narrower' || type === 'task')) return { type };
  if (type === 'binding' && (value === 'dpop' || value === 'mtls')) return { type, binding: value };
  if (type === 'fresh_proof' && /^[1-9]\d{0,4}$/.test(value ?? '')) return { type, max_age: Number(value) };
  return undefined;
}

/** Writes a requirement as {@link readRequirement} reads it. */
export function formatRequirement(requirement: Requirement): string {
  if (requirement.type === 'fresh_proof') return `fresh_proof ${requirement.max_age}`;
  return requirement.type === 'binding' ? `binding ${requirement.binding}` : requirement.type;
}

function contextOf(values: ReadonlyMap<string, string>): TokenContext | undefined {
  let context: TokenContext | undefined;
  for (const [name, member] of [
    ['limit_ip', 'ip'],
    ['limit_country', 'country'],
    ['limit_zone', 'zone'],
    ['limit_hours', 'hours'],
  ] as const) {
    const value = values.get(name);
    if (value === undefined) continue;
    try {
      const list = member === 'hours' ? [parseHours(value)] : value.split(/[\s,]+/).filter((each) => each !== '');
      context = { ...context, ...parseContext({ [member]: list }) };
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      throw new AnnotationError(name, `@${name}: ${error.message}`);
    }
  }
  return context;
}

function lifetimeOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^[1-9]\d{0,2}$/.test(value) ? Number(value) : Number.NaN;
  if (!(seconds <= longestLifetime)) {
    throw new AnnotationError(
      'limit_lifetime',
      `@limit_lifetime must be a whole number of seconds, 1 to ${longestLifetime}`,
    );
  }
  return seconds;
}
