import type { AgentInstance, ChildOptions } from './instance.ts';
import { type MandatePart, type PassedOn, partOf } from './mandates.ts';
import type { OnBehalf } from './on-behalf.ts';

/** What a sub-agent in this process gets: a part of a mandate, and what it says of itself. */
export type SubAgentOptions<Given extends string = string, Scope extends Given = Given> = MandatePart<Given, Scope> &
  Pick<ChildOptions, 'attributes'>;

/** A part of an instance, with a key of its own and a part of its mandate. It ends with the instance, or before. */
export interface SubAgent<Scope extends string = string> extends OnBehalf<Scope>, AsyncDisposable {
  /** `ins_…` */
  readonly id: string;
  readonly spiffeId: string;
  /** The part that it acts on. */
  readonly mandate: PassedOn<Scope>;
  /** Ends it, with its tokens and all that came of its mandate. Again does nothing. */
  end(): Promise<void>;
}

/** What a child of an instance is told to be; without `allowed`, it may what its parent may. */
export type Child = Omit<ChildOptions, 'allowed'> & Partial<Pick<ChildOptions, 'allowed'>>;

/**
 * Enrols a child of an instance, and passes a part of a mandate on to it alone.
 * @param usual the one API that the instance calls, if it is for one
 */
export async function makeSubAgent<Given extends string, Scope extends Given>(
  parent: { child(options: Child): Promise<AgentInstance>; delegate: AgentInstance['delegate'] },
  name: string,
  { attributes, ...part }: SubAgentOptions<Given, Scope>,
  usual: string | undefined,
): Promise<SubAgent<Scope>> {
  const child = await parent.child({
    name,
    ...(attributes && { attributes }),
    ...(part.lifetimeSeconds !== undefined && { lifetimeSeconds: part.lifetimeSeconds }),
    ...allowedIn(partOf(part, usual)),
  });
  try {
    const mandate = await parent.delegate({ ...part, to: child.id });
    return subAgentOf(child, mandate);
  } catch (error) {
    await child[Symbol.asyncDispose](); // nobody shall find it without its part
    throw error;
  }
}

/** Of its own authority, too, it may no more than that, where scopes say all of it: details no child can be limited to. */
function allowedIn(part: MandatePart['resources']): Pick<Child, 'allowed'> {
  if (part === undefined) return {};
  const allowed = part.flatMap(({ resource, scope, details }) => (scope && !details ? [{ resource, scope }] : []));
  return allowed.length === part.length ? { allowed } : {};
}

function subAgentOf<Scope extends string>(child: AgentInstance, mandate: PassedOn<Scope>): SubAgent<Scope> {
  const { id, spiffeId } = child;
  const end = async () => {
    await Promise.all([mandate.end(), child.end()]);
  };
  return Object.freeze({
    ...child.onBehalfOf(mandate),
    id,
    spiffeId,
    mandate,
    end,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([mandate[Symbol.asyncDispose](), child[Symbol.asyncDispose]()]);
    },
  });
}
