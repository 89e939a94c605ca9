/** What a fleet file refers to must be there, in the file or on the server: looked up before anything is shown or changed. */
import { didYouMeanHint } from '../../lib/did-you-mean.ts';
import type { Credential } from '../registry.ts';
import type { Say } from '../yaml-file.ts';
import type { Present, WantedOfAgent } from './changes.ts';
import type { Fleet } from './fleet.ts';
import type { FleetPower } from './fleet-acting.ts';

interface Known {
  id: string;
  name: string;
  status: string;
}

/**
 * Every reference of the file that leads nowhere, and every key that can't be given to its agent: one line each.
 * @param from.registered all credentials that there are or were
 */
export function referenceMistakes(
  fleet: Fleet,
  present: Present,
  from: { credentials: ReadonlyMap<string, WantedOfAgent>; registered: readonly Credential[]; say: Say },
): string[] {
  const { say } = from;
  const living = (all: readonly Known[]) => all.filter(({ status }) => status !== 'retired' && status !== 'erased');
  const people = [...Object.keys(fleet.people), ...living(present.people).flatMap(({ id, name }) => [id, name])];
  const teams = [...Object.keys(fleet.teams), ...living(present.teams).flatMap(({ id, name }) => [id, name])];
  const roles = [...Object.keys(fleet.roles), ...living(present.roles).flatMap(({ id, name }) => [id, name])];
  const agents = [...Object.keys(fleet.agents), ...living(present.agents).flatMap(({ id, name }) => [id, name])];
  const there = present.resources.filter(({ status }) => status !== 'retired');
  const resources = [
    ...Object.entries(fleet.resources).flatMap(([name, { identifier }]) => [name, identifier]),
    ...there.flatMap(({ id, name, identifier }) => [id, name, identifier]),
  ];
  const missing = (kind: string, name: string, known: readonly string[]) =>
    known.includes(name)
      ? undefined
      : `names "${name}", and there is no ${kind} "${name}", here or in the file.${didYouMeanHint(name, known)}`;
  const owner = (text: string) => {
    const [kind, name = ''] = text.split(/:(.*)/s);
    if (kind === 'team') return missing('team', name, teams);
    if (kind === 'person') return missing('person', name, people);
    return missing('team or person', text, [...teams, ...people]);
  };
  const resource = (name: string) => {
    const named = there.filter((one) => one.name === name);
    if (named.length > 1 && !(name in fleet.resources)) {
      return `names "${name}", which ${named.length} resources are called: use an identifier, ${named.map((one) => one.identifier).join(' or ')}.`;
    }
    return missing('resource', name, resources);
  };

  const scopesOf = (reference: string): readonly string[] | undefined => {
    const known = there.find((one) => [one.id, one.name, one.identifier].includes(reference));
    const wanted = Object.entries(fleet.resources).find(
      ([name, { identifier }]) => [name, identifier].includes(reference) || identifier === known?.identifier,
    )?.[1];
    if (wanted?.scopes === undefined && wanted?.operations === undefined) return known?.scopes.map(({ name }) => name);
    return [...Object.keys(wanted.scopes ?? {}), ...(wanted.operations ?? []).flatMap(({ scope }) => scope)];
  };
  const unknownScopes = (reference: string, scopes: readonly string[]) => {
    const known = scopesOf(reference);
    const unknown = known === undefined ? [] : scopes.filter((scope) => !known.includes(scope));
    if (unknown.length === 0) return undefined;
    return `names scopes that the resource doesn't have: ${unknown.join(', ')}.${didYouMeanHint(unknown[0] ?? '', known ?? [])}`;
  };

  const mistakes: string[] = [];
  const note = (at: readonly PropertyKey[], wrong: string | undefined, key?: string) => {
    if (wrong !== undefined) mistakes.push(say(at, wrong, key));
  };
  const power = (at: readonly PropertyKey[], { resources: on, passing }: FleetPower) => {
    for (const [one, { scope }] of Object.entries(on)) {
      note([...at, 'resources'], resource(one) ?? unknownScopes(one, scope), one);
    }
    for (const [index, one] of (passing?.to ?? []).entries()) {
      note([...at, 'passing', 'to', index], missing('agent', one, agents));
    }
  };
  for (const [name, { members = [] }] of Object.entries(fleet.teams)) {
    for (const [index, member] of members.entries()) {
      note(['teams', name, 'members', index], missing('person', member, people));
    }
  }
  for (const [name, { identifier, served_by = [], token }] of Object.entries(fleet.resources)) {
    for (const [index, agent] of served_by.entries()) {
      note(['resources', name, 'served_by', index], missing('agent', agent, agents));
    }
    for (const [index, one] of (token?.transactions ?? []).entries()) {
      const itself = [name, identifier].includes(one) ? 'names the resource itself: others are inside.' : undefined;
      note(['resources', name, 'token', 'transactions', index], itself ?? resource(one));
    }
  }
  for (const [name, { permissions = {}, details = {}, inherits = [] }] of Object.entries(fleet.roles)) {
    for (const [one, scopes] of Object.entries(permissions)) {
      note(['roles', name, 'permissions'], resource(one) ?? unknownScopes(one, scopes), one);
    }
    for (const one of Object.keys(details)) note(['roles', name, 'details'], resource(one), one);
    for (const [index, one] of inherits.entries()) {
      note(['roles', name, 'inherits', index], missing('role', one, roles));
    }
  }
  for (const [name, agent] of Object.entries(fleet.agents)) {
    note(['agents', name, 'owner'], owner(agent.owner));
    for (const [one, { scope = [] }] of Object.entries(agent.resources ?? {})) {
      note(['agents', name, 'resources'], resource(one) ?? unknownScopes(one, scope), one);
    }
    for (const [index, role] of (agent.roles ?? []).entries()) {
      note(['agents', name, 'roles', index], missing('role', role, roles));
    }
  }
  for (const [name, { rules }] of Object.entries(fleet.trusted_issuers)) {
    for (const [index, rule] of rules.entries()) {
      const at = ['trusted_issuers', name, 'rules', index];
      for (const [each, one] of rule.agents.entries()) note([...at, 'agents', each], missing('agent', one, agents));
      power(at, rule);
    }
  }
  for (const [name, mandate] of Object.entries(fleet.mandates)) {
    note(['mandates', name, 'person'], missing('person', mandate.person, people));
    note(['mandates', name, 'agent'], missing('agent', mandate.agent, agents));
    power(['mandates', name], mandate);
  }
  return [...mistakes, ...credentialMistakes(present, from)];
}

/** Every key is for one agent and one life; a name stands for one agent at a time. */
function credentialMistakes(
  present: Present,
  {
    credentials,
    registered,
    say,
  }: { credentials: ReadonlyMap<string, WantedOfAgent>; registered: readonly Credential[]; say: Say },
): string[] {
  const agents = new Map(present.agents.map((agent) => [agent.id, agent]));
  const taken = new Map<string, string>();
  const mistakes: string[] = [];
  for (const [name, given] of credentials) {
    for (const [list, wanted] of Object.entries(given)) {
      for (const one of wanted ?? []) {
        const at = ['agents', name, list];
        const other = taken.get(one.thumbprint);
        if (other !== undefined)
          mistakes.push(say(at, `hold ${one.title}, which agent ${other} has in this file, too.`));
        taken.set(one.thumbprint, name);
        const same = registered.filter(({ thumbprint }) => thumbprint === one.thumbprint);
        const known = same.find(({ status }) => status !== 'removed') ?? same[0];
        if (known === undefined) continue;
        const again = known.kind === 'certificate_subject' || known.kind === 'spiffe_id';
        const holder = agents.get(known.agent)?.name ?? known.agent;
        if (known.status === 'removed') {
          if (again) continue;
          mistakes.push(say(at, `hold ${one.title}, which has ended, and never lives again: make a new one.`));
        } else if (holder !== name) {
          mistakes.push(
            say(at, `hold ${one.title}, which is registered for agent ${holder}: every agent needs its own.`),
          );
        }
      }
    }
  }
  return mistakes;
}
