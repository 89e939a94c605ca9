/**
 * Who and what a search looks at: agents and operations from the registry, and for what only the asking side knows, whatever
 * policies call by its name. Always in one order, so that pages fit together.
 */
import type { Deps } from '../deps.ts';
import { agentType } from './agent-type.ts';
import type { Asking } from './asking.ts';
import { namedInPolicies } from './policy.ts';
import type { AskedEntity, Question, Search, SearchKind } from './question.ts';
import { agentsAfter, resourceCalled, resourcesOf } from './registered.ts';
import { accessAction, isRegisteredType, operationId, typeOf } from './resource.ts';

/** One thing that may be found. */
export interface Candidate {
  /** Its place in the order: after it a next page begins. */
  place: string;
  /** What is asked of it. */
  question: Question;
  /** How it stands in the answer. */
  shown: { type: string; id: string } | { name: string };
}

/** At most `count` candidates that come after a place. Fewer: there are no more. */
export type Candidates = (after: string | undefined, count: number) => Promise<readonly Candidate[]>;

type Finder<Kind extends SearchKind> = (deps: Deps, asking: Asking, search: Search<Kind>) => Promise<Candidates>;

/** What each search goes through. */
export const candidatesOf: { [Kind in SearchKind]: Finder<Kind> } = {
  async subject(deps, asking, { subject, ...rest }) {
    const { type, properties } = subject;
    const candidate = (id: string): Candidate => ({
      place: id,
      question: { ...rest, subject: { type, id, properties } },
      shown: { type, id },
    });
    if (type !== agentType) return listed((await foreign(deps, asking, 'Subject', type)).map(candidate));
    return async (after, count) => {
      const agents = await agentsAfter(deps, asking.agent.org, after, count);
      return agents.map(({ id }) => candidate(id));
    };
  },

  async resource(deps, asking, { resource, ...rest }) {
    const { type, properties } = resource;
    const ids = isRegisteredType(type)
      ? await registeredIds(deps, asking, type)
      : await foreign(deps, asking, 'Object', type);
    return listed(
      ids.map((id) => ({ place: id, question: { ...rest, resource: { type, id, properties } }, shown: { type, id } })),
    );
  },

  async action(deps, asking, search) {
    const names = await actionNames(deps, asking, search.resource);
    return listed(
      names.map((name) => ({
        place: name,
        question: { ...search, action: { name, parameters: {}, properties: {} } },
        shown: { name },
      })),
    );
  },
};

/** Each place once, in the order of code units. */
function listed(all: readonly Candidate[]): Candidates {
  const byPlace = new Map(all.map((each) => [each.place, each]));
  const places = [...byPlace.keys()].sort();
  return async (after, count) =>
    places
      .filter((place) => after === undefined || place > after)
      .slice(0, count)
      .map((place) => byPlace.get(place) as Candidate);
}

/** Ids of what policies name, of one type that the asking side knows. A guard has no business with those. */
async function foreign(deps: Deps, asking: Asking, entity: 'Subject' | 'Object', type: string): Promise<string[]> {
  if (asking.only) return [];
  const { entities } = await namedInPolicies(deps, asking.caller.asOf.version, asking.agent.org);
  const prefix = `${type}:`;
  return entities.flatMap((each) =>
    each.type === entity && each.id.startsWith(prefix) ? [each.id.slice(prefix.length)] : [],
  );
}

async function registeredIds(deps: Deps, { caller, agent, only }: Asking, type: string): Promise<string[]> {
  const resources = only ? [only] : await resourcesOf(deps, caller.asOf.version, agent.org);
  if (type === 'api') return resources.map(({ identifier }) => identifier);
  return resources.flatMap((resource) =>
    resource.operations.filter((each) => typeOf(each) === type).map((each) => operationId(resource, each)),
  );
}

async function actionNames(deps: Deps, asking: Asking, { type, id }: AskedEntity): Promise<readonly string[]> {
  const { version } = asking.caller.asOf;
  if (!isRegisteredType(type)) {
    return asking.only ? [] : (await namedInPolicies(deps, version, asking.agent.org)).operations;
  }
  if (type !== 'api') return [accessAction, id.slice(id.indexOf('#') + 1)];
  const resource = await resourceCalled(deps, version, asking.agent.org, id);
  return [accessAction, ...(resource?.operations ?? []).map(({ name }) => name)];
}
