import { createDpopProof, type JsonObject, type Signer, signerFrom } from '@bailiwick/protocol';
import { type Agent, assemble } from './agent.ts';
import { askedOf, scopeList, type TokenWishes } from './asked.ts';
import { isPassing } from './attempts.ts';
import { BailiwickError } from './errors.ts';
import { type InstanceApi, type InstanceAttribute, type InstanceRequest, standingOf } from './instance-api.ts';
import { createLife, type Life } from './instance-life.ts';
import type { IssuerClock } from './issuer-clock.ts';
import type { Nonces } from './nonces.ts';
import { type CommonDeps, type Deps, freshKey, type TokenBinding } from './options.ts';
import { type Child, makeSubAgent, type SubAgent, type SubAgentOptions } from './sub-agent.ts';
import { heldToken } from './token-request.ts';

/** What an instance, or a child of one, may be told to be. */
export interface InstanceOptions extends TokenWishes {
  /** The one API that it calls. Left out, it is found for each URL. Named, its first token comes with the enrolment. */
  resource?: string;
  /** How long it lives unless it renews. Left out, as its agent's registration says. */
  lifetimeSeconds?: number;
  /** What it says of itself: its zone, image, node. */
  attributes?: Readonly<Record<string, string>>;
}

export interface ChildOptions extends InstanceOptions {
  /** Unique among the living children of one parent. */
  name: string;
  /** What it may ask tokens for: less than its parent, or the same. */
  allowed: readonly { resource: string; scope: string | readonly string[] }[];
}

/** One running copy of an agent, with a key of its own that never leaves this process. */
export interface AgentInstance extends Agent, AsyncDisposable {
  /** `ins_…` */
  readonly id: string;
  readonly spiffeId: string;
  /** What is known of it, and from whom. */
  readonly attributes: Readonly<Record<string, InstanceAttribute>>;
  /** When it is gone unless it renews, which it does by itself. In ms. */
  readonly expiresAt: number;
  /** A JWT-SVID for those who ask for one. Whoever has it is this instance, for minutes: hand it to nobody else. */
  jwtSvid(audience: string): Promise<string>;
  /** Enrols a part of this instance, with a key of its own and never with more than this one has. It ends with this one. */
  child(options: ChildOptions): Promise<AgentInstance>;
  /** A part of this process that acts on a part of a mandate, and can do no more: a child with a key of its own, and what is passed on to it. */
  subAgent<Given extends string = string, Scope extends Given = Given>(
    name: string,
    part: SubAgentOptions<Given, Scope>,
  ): Promise<SubAgent<Scope>>;
  /** Ends it at the issuer, with its tokens and its children. Again does nothing. `await using` does it by itself. */
  end(): Promise<void>;
}

/** What an instance has in common with its children. */
export interface Rooms {
  deps: CommonDeps;
  clock: IssuerClock;
  nonces: Nonces;
  api: InstanceApi;
  binding: TokenBinding;
  /** False where somebody else's fetch sends everything. */
  ownTls: boolean;
}

type Enrolling = (request: InstanceRequest, own: Signer) => ReturnType<InstanceApi>;

const retriesMs = [250, 1_000, 3_000];

/**
 * Makes a key, has it enrolled, and brings the instance to life.
 * @param enrolBy sends the request with whatever entitles to enrol
 */
export async function beginInstance(
  rooms: Rooms,
  wanted: InstanceOptions,
  enrolBy: Enrolling,
  noteLife: (life: Life) => void = () => {},
): Promise<AgentInstance> {
  const { deps, clock, api, binding, ownTls } = rooms;
  const step = 'enrolling an instance';
  const key = freshKey();
  const signer = signerFrom(key);
  const { resource } = wanted;
  const asked = askedOf(wanted);
  const { scope, ...more } = asked;
  const first = { ...asked, resource };
  // A token that is bound to a certificate can't come before the certificate; what is more than scopes is asked for after.
  const withToken = resource !== undefined && binding === 'dpop' && Object.keys(more).length === 0;
  const body = async (): Promise<JsonObject> => ({
    ...(wanted.lifetimeSeconds !== undefined && { lifetime_seconds: wanted.lifetimeSeconds }),
    ...(wanted.attributes && { attributes: { ...wanted.attributes } }),
    ...(withToken && { token: { resource, ...(scope && { scope: scope.join(' ') }) } }),
  });
  const { answer, askedAt, url } = await enrolBy({ step, method: 'POST', path: '/instances', signer, body }, signer);
  const standing = standingOf(step, answer, { now: clock.now(), signer });
  const { lifetimeSeconds } = wanted;
  const life = createLife({ deps, api, clock, key, signer, binding, ownTls, lifetimeSeconds, first: standing });
  noteLife(life);
  const own: Deps = {
    ...deps,
    resource,
    asked,
    clientId: standing.clientId,
    fetch: life.open,
    identity: life.identity,
    certified: life.certified,
    explain: life.explain,
    unknownHint: 'was this instance ended, or its agent suspended? Then enrol again',
  };
  const { agent, tokens } = assemble(own, rooms);
  if (withToken && standing.token !== undefined) {
    const identity = await life.identity();
    tokens.put(first, heldToken(standing.token, first, { askedAt, endpoint: url, identity }), askedAt);
  }
  return instanceOf(rooms, { agent, life, signer, resource });
}

interface Parts {
  agent: Agent;
  life: Life;
  signer: Signer;
  resource: string | undefined;
}

function instanceOf(rooms: Rooms, { agent, life, signer, resource }: Parts): AgentInstance {
  const { id, spiffeId, attributes } = life.standing();
  const children = new Set<Life>();
  let ending: Promise<void> | undefined;

  async function child({ name, allowed, ...wanted }: Child): Promise<AgentInstance> {
    await life.identity();
    const enrolBy: Enrolling = (request, own) => {
      const body: InstanceRequest['body'] = async (at) => ({
        ...(await request.body?.(at)),
        name,
        ...(allowed && {
          allowed: allowed.map((each) => ({
            resource: each.resource,
            scope: (scopeList(each.scope) ?? []).join(' '),
          })),
        }),
        // The child's word that it has the key; the request itself is proven by its parent's.
        proof: await createDpopProof(own, { htm: 'POST', htu: at.url, now: at.now, jti: rooms.deps.uuid() }),
      });
      return rooms.api({ ...request, step: 'enrolling a child', path: `/instances/${id}/children`, signer, body });
    };
    return beginInstance(rooms, wanted, enrolBy, (born) => children.add(born));
  }

  const subAgent: AgentInstance['subAgent'] = (name, part) =>
    makeSubAgent({ child, delegate: agent.delegate }, name, part, resource);

  async function endNow(): Promise<void> {
    life.stop('this instance was ended by its own process');
    for (const born of children) born.stop('the parent of this instance was ended by its own process');
    const path = `/instances/${id}`;
    try {
      await persistently(rooms.deps, () => rooms.api({ step: 'ending the instance', method: 'DELETE', path, signer }));
    } catch (error) {
      // Somebody was faster, or time was: it is what was wanted.
      if (!(error instanceof BailiwickError) || !isGone(error)) throw error;
    }
  }

  function end(): Promise<void> {
    ending ??= endNow();
    return ending;
  }

  return Object.freeze({
    ...agent,
    id,
    spiffeId,
    attributes,
    get expiresAt() {
      return life.standing().expiresAt;
    },
    jwtSvid: life.jwtSvid,
    child,
    subAgent,
    end,
    /** Leaving a block is no place for an error: an instance that can't be ended now ends by itself. */
    [Symbol.asyncDispose]: () =>
      end().catch(({ message }: Error) => {
        const until = new Date(life.standing().expiresAt).toISOString();
        process.emitWarning(`${message}; instance ${id} ends by itself at ${until}`, { code: 'BAILIWICK_NOT_ENDED' });
      }),
  });
}

const isGone = ({ status }: BailiwickError) => status === 401 || status === 404 || status === 410;

/** A server that is being started, or is busy, gets a few seconds. */
export async function persistently<Result>(
  deps: CommonDeps,
  attempt: (isAgain: boolean) => Promise<Result>,
): Promise<Result> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt(tries > 0);
    } catch (error) {
      const wait = retriesMs[tries];
      if (wait === undefined || !isPassing(error)) throw error;
      await deps.sleep(wait * (0.5 + 0.5 * deps.random()));
    }
  }
}
