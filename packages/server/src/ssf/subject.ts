/** Who an event is about, as SETs name it. @see RFC 9493, SSF 1.0 §3 */
import { canonicalJson, sha256Base64url } from '@bailiwick/protocol';

/** One that names by itself, or by members that each do. */
export type Subject = SimpleSubject | ComplexSubject;
export type SimpleSubject = { format: string } & Readonly<Record<string, unknown>>;
export type ComplexSubject = { format: 'complex' } & Readonly<Record<string, SimpleSubject>>;

/** Formats that we read, with the members that each must have, all of them strings. @see RFC 9493 §3.2, SSF 1.0 §3.5 */
const formats: Readonly<Record<string, readonly string[]>> = {
  account: ['uri'],
  did: ['url'],
  email: ['email'],
  iss_sub: ['iss', 'sub'],
  jwt_id: ['iss', 'jti'],
  opaque: ['id'],
  phone_number: ['phone_number'],
  saml_assertion_id: ['issuer', 'assertion_id'],
  uri: ['uri'],
};

const longest = 2048;
const mostMembers = 16;
const mostAliases = 10;

/** What is wrong with a subject, completing "the subject …"; undefined if nothing is. Formats that nobody registered are let be. */
export function subjectFault(value: unknown): string | undefined {
  const fault = shapeFault(value);
  if (fault !== undefined) return fault;
  const { format, ...members } = value as Record<string, unknown>;
  if (format === 'complex') {
    const names = Object.keys(members);
    if (names.length === 0 || names.length > mostMembers) return `must have 1 to ${mostMembers} members beside format`;
    for (const name of names) {
      const inner = simpleFault(members[name]);
      if (inner !== undefined) return `has a member ${/^[\w-]{1,40}$/.test(name) ? name : ''} that ${inner}`;
    }
    return undefined;
  }
  return simpleFault(value);
}

function shapeFault(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'must be an object';
  const { format } = value as Record<string, unknown>;
  if (typeof format !== 'string' || !/^[\w.:/-]{1,200}$/.test(format)) return 'must have a format';
  return undefined;
}

function simpleFault(value: unknown): string | undefined {
  const fault = shapeFault(value);
  if (fault !== undefined) return fault;
  const subject = value as Record<string, unknown>;
  if (subject.format === 'complex') return 'must not be complex itself';
  if (subject.format === 'aliases') {
    const { identifiers } = subject;
    if (!Array.isArray(identifiers) || identifiers.length === 0 || identifiers.length > mostAliases) {
      return `must have 1 to ${mostAliases} identifiers`;
    }
    // RFC 9493 §3.2.8: aliases don't nest
    const wrong = identifiers.find(
      (one) => simpleFault(one) !== undefined || (one as SimpleSubject).format === 'aliases',
    );
    return wrong === undefined ? undefined : 'has an identifier that is none';
  }
  const names = Object.hasOwn(formats, subject.format as string) ? (formats[subject.format as string] ?? []) : [];
  for (const name of names) {
    const member = subject[name];
    if (typeof member !== 'string' || member === '' || member.length > longest) {
      return `must have ${name}, a string of at most ${longest} characters`;
    }
  }
  return canonicalJson(value).length > 2 * longest ? 'is too long' : undefined;
}

/** Subjects with the same key are identical. */
export const subjectKey = (subject: Subject): string => sha256Base64url(canonicalJson(subject));

/** Whether two subjects match. @see SSF 1.0 §8.1.3.1 */
export function matches(one: Subject, other: Subject): boolean {
  if (one.format !== 'complex' || other.format !== 'complex') return subjectKey(one) === subjectKey(other);
  return Object.keys(one).every(
    (name) => name === 'format' || !Object.hasOwn(other, name) || same(one[name], other[name]),
  );
}

/** Whether a complex subject that was listed takes in another: all of its members are there, and the same. */
export function takesIn(listed: Subject, other: Subject): boolean {
  if (listed.format !== 'complex' || other.format !== 'complex') return subjectKey(listed) === subjectKey(other);
  return Object.keys(listed).every((name) => Object.hasOwn(other, name) && same(listed[name], other[name]));
}

const same = (one: unknown, other: unknown): boolean => canonicalJson(one) === canonicalJson(other);

/** The members of a subject that name somebody by themselves: of a complex one by their names, aliases one by one. */
export function namedIn(subject: Subject): { member: string; subject: SimpleSubject }[] {
  const members =
    subject.format === 'complex'
      ? Object.entries(subject).filter(([name]) => name !== 'format')
      : [['', subject] as const];
  return members.flatMap(([member, one]) => {
    const simple = one as SimpleSubject;
    if (simple.format !== 'aliases') return [{ member, subject: simple }];
    return (simple.identifiers as SimpleSubject[]).map((alias) => ({ member, subject: alias }));
  });
}

/**
 * Whether a subject has this address: as a whole member, in any case, as `acct:` or `mailto:`, percent-encoded or not, or as somebody's name
 * elsewhere (`ada%40a.example@b.example`). Another one that merely ends like it is another's. @see RFC 7565, RFC 6068
 */
export function saysAddress(subject: Subject, email: string): boolean {
  const wanted = email.toLowerCase();
  return namedIn(subject).some(({ subject: one }) =>
    Object.values(one).some((value) => {
      if (typeof value !== 'string') return false;
      const address = decoded(value)
        .toLowerCase()
        .replace(/^(acct|mailto):/, '');
      return address === wanted || address.startsWith(`${wanted}@`) || address.startsWith(`${wanted}?`);
    }),
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a percent sign that is one
  }
}
