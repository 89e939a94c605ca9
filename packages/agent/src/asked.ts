import { type AuthorizationDetail, isPrintable, parseScope, type TokenContext, taskIdIn } from '@bailiwick/protocol';
import { BailiwickError } from './errors.ts';
import { grantOf, type Subject } from './subject.ts';

/** What tokens are asked for. Whatever is said here narrows what the agent's roles give; nothing widens it. */
export interface TokenWishes {
  /** The scopes to ask for. Left out, they are the task's, else the registration's defaults. */
  scope?: string | readonly string[];
  /** Single operations, amounts, objects: `authorization_details` (RFC 9396), of types that the API has. */
  details?: readonly AuthorizationDetail[];
  /** Where, and when, the tokens are to be used at most. */
  ctx?: TokenContext;
  /** What the agent says of its work itself. The log keeps it; policies believe it for little. */
  declared?: DeclaredWork;
  /** Which agent may act on the tokens in turn, beside those that serve the API that they are for: its id, or SPIFFE ID. */
  mayAct?: string;
  /** Smaller wishes, each tried once and in order, when policy says that what was asked for is too much. */
  narrower?: readonly NarrowerWishes[];
  /**
   * May a wider token be asked for, once, when an API answers that the scope isn't enough? As the agent was made (true by default); where a call, or `with`,
   * names `scope` or `details`, only if it says so as well.
   */
  stepUp?: boolean;
}

export type NarrowerWishes = Pick<TokenWishes, 'scope' | 'details' | 'ctx'>;

export interface DeclaredWork {
  workflow?: string;
  step?: string;
  purpose?: string;
}

/** A task by its id, or signed by an orchestrator. */
export type TaskReference = string | { readonly jwt: string };

/** The task that tokens are asked for. */
export interface AtTask {
  readonly id: string;
  /** What the token request says: the id, or the signed task until the issuer knows it. */
  presented(): string;
  /** The issuer has answered: from now on it knows the task by its id. */
  known(): void;
  isKnown(): boolean;
}

/** Wishes that were checked. What isn't there is left to the task, or the registration. */
export interface Asked {
  scope?: readonly string[] | undefined;
  details?: readonly AuthorizationDetail[] | undefined;
  ctx?: TokenContext | undefined;
  declared?: DeclaredWork | undefined;
  mayAct?: string | undefined;
  narrower?: readonly Asked[] | undefined;
  stepUp?: boolean | undefined;
  task?: AtTask | undefined;
  /** On whose authority, where it isn't the agent's own. */
  subject?: Subject | undefined;
}

type Undefinable<Options> = { [Name in keyof Options]?: Options[Name] | undefined };

/**
 * Checks wishes.
 * @throws BailiwickError `bad_option`
 */
export function askedOf({ scope, details, ctx, declared, mayAct, narrower }: Undefinable<TokenWishes>): Asked {
  if (details !== undefined && !(Array.isArray(details) && details.every(hasType))) {
    throw new BailiwickError('bad_option', 'details must be a list of objects, each with a type');
  }
  if (narrower !== undefined && !Array.isArray(narrower)) {
    throw new BailiwickError('bad_option', 'narrower must be a list of smaller wishes');
  }
  if (mayAct !== undefined && !isPrintable(mayAct, 2048)) {
    throw new BailiwickError('bad_option', 'mayAct must be the id of an agent (agt_…) or its SPIFFE ID');
  }
  return {
    ...(scope !== undefined && { scope: scopeList(scope) }),
    ...(details !== undefined && { details }),
    ...(ctx !== undefined && { ctx }),
    ...(mayAct !== undefined && { mayAct }),
    ...(declared !== undefined && { declared: checkedDeclaration(declared) }),
    ...(narrower !== undefined && { narrower: narrower.map((each) => askedOf(each)) }),
  };
}

/**
 * Checks what one call, or one part of the work, wishes. Whoever names scopes or details there means these and no more: an API's answer doesn't widen them.
 * @throws BailiwickError `bad_option`
 */
export function askedHere(wishes: Undefinable<TokenWishes>): Asked {
  const { scope, details } = wishes;
  const isNamed = scope !== undefined || details !== undefined;
  const stepUp = wishes.stepUp ?? (isNamed ? false : undefined);
  return { ...askedOf(wishes), ...(stepUp !== undefined && { stepUp }) };
}

/**
 * Scopes as a list, whichever way they were written. An empty list is a wish for no scope at all.
 * @throws BailiwickError `bad_option`
 */
export function scopeList(scope: string | readonly string[] | undefined): string[] | undefined {
  if (scope === undefined) return undefined;
  const text = typeof scope === 'string' ? scope : scope.join(' ');
  try {
    return text === '' ? [] : parseScope(text);
  } catch {
    throw new BailiwickError('bad_option', 'scope must be names with single spaces between, or a list of names');
  }
}

const hasType = (detail: unknown) => typeof (detail as { type?: unknown } | null)?.type === 'string';

function checkedDeclaration(declared: DeclaredWork): DeclaredWork {
  for (const [name, value] of Object.entries(declared)) {
    if (value === undefined || (typeof value === 'string' && value !== '')) continue;
    throw new BailiwickError('bad_option', `declared.${name} must be a text`);
  }
  return declared;
}

/**
 * A task to ask tokens for.
 * @throws BailiwickError `bad_option`
 */
export function atTask(reference: TaskReference): AtTask {
  if (typeof reference === 'string') {
    if (/^tsk_[0-9a-z]{26}$/.test(reference))
      return { id: reference, presented: () => reference, known: () => {}, isKnown: () => true };
    throw new BailiwickError('bad_option', 'the task must be its id, tsk_…, or { jwt }');
  }
  const { jwt } = reference;
  const id = idIn(jwt);
  let isKnown = false;
  return {
    id,
    presented: () => (isKnown ? id : jwt),
    known: () => {
      isKnown = true;
    },
    isKnown: () => isKnown,
  };
}

function idIn(jwt: string): string {
  try {
    return taskIdIn(jwt);
  } catch {
    throw new BailiwickError('bad_option', 'the signed task is no JWT with iss and jti');
  }
}

/**
 * What the later of two wishes says; where it is silent, the earlier. A task takes the place of what was declared before.
 * @throws BailiwickError `bad_option`
 */
export function laterThan(earlier: Asked, later: Asked): Asked {
  const asked = { ...earlier, ...later };
  if (later.task !== undefined && later.declared === undefined) delete asked.declared;
  if (asked.task === undefined || asked.declared === undefined) return asked;
  throw new BailiwickError('bad_option', 'a task says what the work is: nothing is declared beside it');
}

/**
 * Parameters of a token request.
 * @throws BailiwickError `bad_option` for no scope and no details: a request that names nothing asks for the defaults
 */
export function parametersOf({ scope, details, ctx, declared, mayAct, task, subject }: Asked): Record<string, string> {
  if (scope?.length === 0 && (details ?? []).length === 0) {
    throw new BailiwickError('bad_option', 'a token for no scope and no details is one for nothing', {
      hint: 'name a scope, or leave scope out and get the defaults',
    });
  }
  return {
    ...grantOf(subject),
    ...(scope !== undefined && scope.length > 0 && { scope: scope.join(' ') }),
    ...(details !== undefined && details.length > 0 && { authorization_details: JSON.stringify(details) }),
    ...(ctx !== undefined && { ctx: JSON.stringify(ctx) }),
    ...(mayAct !== undefined && { may_act: mayAct }),
    ...(task !== undefined && { task: task.presented() }),
    ...Object.fromEntries(
      Object.entries(declared ?? {})
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => [`declared_${name}`, String(value)]),
    ),
  };
}

/** The same for equal wishes: tokens are kept by it. */
export function keyOf({ scope, details, ctx, declared, mayAct, narrower, task, subject }: Asked): string {
  return JSON.stringify([
    scope === undefined ? null : [...scope].sort(),
    details ?? null,
    ctx ?? null,
    declared ?? null,
    narrower?.map(keyOf) ?? null,
    task?.id ?? null,
    subject?.token ?? null,
    subject?.actor ?? null,
    mayAct ?? null,
  ]);
}

/** `authorization_details` of an answer, as far as they are what they should be. */
export function detailsIn(answered: unknown): AuthorizationDetail[] {
  return Array.isArray(answered) && answered.every((each) => hasType(each) && isPrintable(each.type, 200))
    ? (answered as AuthorizationDetail[])
    : [];
}
