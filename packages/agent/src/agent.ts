import { X509Certificate } from 'node:crypto';
import type { AuthorizationDetail } from '@bailiwick/protocol';
import { type Asked, askedHere, askedOf, atTask, laterThan, type TaskReference, type TokenWishes } from './asked.ts';
import { BailiwickError } from './errors.ts';
import { type AgentFetch, createFetch } from './fetch.ts';
import { assertedBy, assertedBySvid, type Identity, provenByTls } from './identity.ts';
import { createIssuer } from './issuer.ts';
import { createIssuerClock, type IssuerClock } from './issuer-clock.ts';
import { type AskOptions, askFor, type MandateRequest, requestsTo } from './mandate-requests.ts';
import { type DelegateOptions, endMandate, heldMandates, type Mandate, type PassedOn, passOn } from './mandates.ts';
import { createNonces, type Nonces } from './nonces.ts';
import { type OnBehalf, type OnBehalfWishes, onBehalf } from './on-behalf.ts';
import {
  type AgentOptions,
  type CommonDeps,
  checkClientId,
  commonDeps,
  type Deps,
  freshKey,
  privateKeyOf,
  signerOf,
} from './options.ts';
import { createResources } from './resources.ts';
import { type IdToken, type Narrowed, subjectOf } from './subject.ts';
import { type OpenTask, openTask, type Task, type TaskOptions, workAt } from './task.ts';
import { createTaskReports, noTaskReports } from './task-reports.ts';
import { createTlsFetch, type TlsFetch } from './tls-fetch.ts';
import { createTokenRequester, type HeldToken } from './token-request.ts';
import { createTokens, type Tokens } from './tokens.ts';
import { traceFor } from './trace.ts';
import {
  type BegunTransaction,
  createTransactions,
  type IncomingCall,
  type TransactionOptions,
} from './transaction.ts';
import { certificatesIn, createBundleReader } from './trust.ts';
import { safeUrl } from './urls.ts';

/** What may be known of a token by everyone. */
export interface TokenInfo {
  /** The API it is for, if it was named. */
  readonly resource: string | undefined;
  readonly scope: readonly string[];
  /** What it grants beyond scopes. */
  readonly details: readonly AuthorizationDetail[];
  /** What it has less of than mandate and wishes say, and which link of the chain took it away. */
  readonly narrowed: readonly Narrowed[];
  readonly tokenType: 'DPoP' | 'Bearer';
  /** In ms. */
  readonly expiresAt: number;
  /** The token itself. Whoever has it, and the key if it is bound, is the agent: keep it out of prompts, logs and variables. */
  dangerouslyExposeToken(): string;
}

export interface Agent {
  readonly issuer: string;
  readonly clientId: string;
  /** `fetch`, with a token that is found, bound, kept and renewed behind the scenes. */
  readonly fetch: AgentFetch;
  /** Gets a token and says what it is, for tools that show or test it. Calling an API takes only `fetch`. */
  token(wanted?: TokenWishes & { resource?: string }): Promise<TokenInfo>;
  /** The same agent with other wishes: for a part of the work, narrower than the rest. */
  with(wishes: TokenWishes & { task?: TaskReference }): Agent;
  /**
   * Works at a task: one that an orchestrator opened (by id, or signed), or one that is opened here, which takes the role
   * `orchestrator`, and ended when the work is done or has failed.
   */
  task<Result>(task: TaskReference | TaskOptions, work: (task: Task) => Promise<Result>): Promise<Result>;
  /**
   * The same agent, acting for somebody: on a mandate that it holds, on an access token that somebody else came with, or on an ID token of an issuer
   * that ours trusts.
   * @param wishes what its tokens are for at most, beside what the agent itself wishes; all that the mandate and the agent's roles give, if nothing is said
   */
  onBehalfOf<Given extends string = string, Scope extends Given = Given>(
    subject: string | Mandate<Given> | IdToken,
    wishes?: OnBehalfWishes<Scope>,
  ): OnBehalf<Scope>;
  /** The mandates that it holds. */
  mandates(): Promise<Mandate[]>;
  /** Passes a part of a mandate on to another agent: never more than it has itself. */
  delegate<Given extends string = string, Scope extends Given = Given>(
    options: DelegateOptions<Given, Scope>,
  ): Promise<PassedOn<Scope>>;
  /** Asks another agent for a part of a mandate that it holds, and waits until it is granted. */
  ask<Scope extends string = string>(options: AskOptions<Scope>): Promise<Mandate<Scope>>;
  /** What other agents ask it for, each to be granted or refused. */
  requests(): Promise<MandateRequest[]>;
  /** Ends a mandate that it holds, for good, with all that came of it. Again does nothing. */
  giveUp(mandate: string | Mandate): Promise<void>;
  /**
   * Goes on inside of the trust domain with a request that this agent's API was called with: by a transaction token, which is asked for with that request's
   * access token, or replaces the transaction token that it came with. Ask for each call anew.
   */
  transaction(request: IncomingCall, options: TransactionOptions): Promise<BegunTransaction>;
  /** Opens a task, for this agent or another. It takes the role `orchestrator`. */
  openTask(options: TaskOptions): Promise<OpenTask>;
}

/**
 * Makes an agent of its registration: issuer, id, and what it proves itself with. Nothing is sent before the first call.
 *
 * Everything secret is held in closures: `util.inspect`, `JSON.stringify` and errors have nothing to show.
 *
 * @throws BailiwickError `bad_option`, `bad_url`, `insecure_url`, `bad_key`, …
 */
export function createAgent(options: AgentOptions): Agent {
  const { clientId } = options;
  checkClientId(clientId);
  const common = commonDeps(options.issuer, options);
  const identity = options.certificate === undefined ? signing(options, common.fetch) : connecting(options, common);
  const unknownHint =
    'is the clientId right, what it proves itself with registered for this agent and not expired, and the clock of this machine right?';
  const deps: Deps = { ...common, clientId, identity, unknownHint };
  return Object.freeze(assemble(deps, { clock: createIssuerClock(deps.now), nonces: createNonces() }).agent);
}

/** What an agent that was assembled consists of, for those who add to it. */
export interface Assembled {
  agent: Agent;
  tokens: Tokens;
}

/** The parts of an agent, put together. */
export function assemble(deps: Deps, { clock, nonces }: { clock: IssuerClock; nonces: Nonces }): Assembled {
  const resources = createResources(deps);
  const issuer = createIssuer(deps);
  const transactions = createTransactions(deps, issuer, clock, nonces);
  const kept = createTokens(deps.now, createTokenRequester(deps, issuer, clock, nonces));
  const tokens: Tokens = {
    ...kept,
    // Whoever has ended has no tokens either, though they would look good for a while.
    async get(wanted, refused) {
      await deps.identity();
      try {
        return await kept.get(wanted, refused);
      } catch (error) {
        await deps.explain?.(error);
        throw error;
      }
    },
  };
  function agentAsking(asked: Asked, only = deps.resource): Agent {
    const here = { ...deps, resource: only };
    const fetch = createFetch({ deps: here, nonces, resources, tokens, proofNow: clock.now, asked });
    const agent: Agent = {
      issuer: deps.issuer,
      clientId: deps.clientId,
      fetch,
      async token({ resource = only, ...wishes } = {}) {
        if (resource !== undefined) checkResource(resource);
        const wanted = laterThan(asked, askedOf(wishes));
        return tokenInfo(await tokens.get({ ...wanted, resource, trace: traceFor(deps, wanted.task?.id) }));
      },
      with: ({ task, ...wishes }) => {
        const at = task === undefined ? {} : { task: atTask(task) };
        return Object.freeze(agentAsking(laterThan(asked, { ...askedHere(wishes), ...at }), only));
      },
      onBehalfOf: (subject, { resource = only, actorToken, ...wishes } = {}) => {
        if (resource !== undefined) checkResource(resource);
        const at = laterThan(asked, { ...askedHere(wishes), subject: subjectOf(subject, actorToken) });
        return onBehalf(agentAsking(at, resource));
      },
      mandates: () => heldMandates(deps, opening(asked)),
      delegate: (options) => passOn(deps, opening(asked), options),
      ask: (options) => askFor(deps, opening(asked), options),
      requests: () => requestsTo(deps, opening(asked)),
      giveUp: (mandate) => endMandate(deps, opening(asked), mandate),
      transaction: transactions,
      openTask: (options) => openTask(deps, opening(asked), options),
      task: (task, work) =>
        workAt({ agent, at: (own) => agentAsking(laterThan(asked, { task: own }), only), reports }, task, work),
    };
    return agent;
  }
  /** What tells of a task is at no task: it must not end with it. */
  function telling(): AgentFetch {
    return createFetch({ deps, nonces, resources, tokens, proofNow: clock.now, asked: { stepUp: false } });
  }
  const reports = deps.reportTasks ? createTaskReports(deps, telling(), clock.now) : noTaskReports;
  /** Tokens for the issuer's own APIs are for nothing else; a task that is opened at a task ends with it. */
  function opening({ task }: Asked): AgentFetch {
    return createFetch({ deps, nonces, resources, tokens, proofNow: clock.now, asked: { ...(task && { task }) } });
  }
  return { agent: agentAsking(deps.asked), tokens };
}

/** An agent that proves itself by what it signs, or has signed. */
function signing(options: AgentOptions, fetch: Identity['fetch']): Deps['identity'] {
  const { key, svid, clientId, binding = 'dpop' } = options;
  if (binding !== 'dpop') {
    throw new BailiwickError('bad_option', `binding ${binding} takes a certificate`, {
      hint: 'give certificate and its key, or enrol an instance, which gets one',
    });
  }
  if (svid !== undefined && key !== undefined) {
    throw new BailiwickError('bad_option', 'an agent proves itself by a key or by an svid', { hint: 'leave one out' });
  }
  const authenticate = svid === undefined ? assertedBy(signerOf(key, 'key'), clientId) : assertedBySvid(svid, clientId);
  const identity: Identity = { authenticate, proofSigner: proofSignerOf(options), mutualTls: false, fetch };
  return async () => identity;
}

/** An agent that proves itself by the certificate of its connection. @see RFC 8705 §2 */
function connecting(options: AgentOptions, common: CommonDeps): Deps['identity'] {
  const { clientId, binding = 'mtls', svid } = options;
  if (binding === 'dpop' || svid !== undefined || options.fetch !== undefined) {
    const [what, hint] =
      binding === 'dpop'
        ? ['binding', 'tokens got over mutual TLS are bound to its certificate: mtls or both']
        : [svid === undefined ? 'fetch' : 'svid', 'leave it out: the certificate is presented by our own TLS'];
    throw new BailiwickError('bad_option', `${what} can't go with a certificate`, { hint });
  }
  const key = privateKeyOf(options.key, 'key');
  const chain = certificatesIn(options.certificate as string, 'certificate');
  if (!new X509Certificate(chain[0] as string).checkPrivateKey(key)) {
    throw new BailiwickError('bad_key', 'the key is not that of the certificate');
  }
  const readBundle = createBundleReader(common);
  const proofSigner = binding === 'both' ? proofSignerOf(options) : undefined;
  let made: { bundle: readonly string[]; tls: TlsFetch } | undefined;
  return async (): Promise<Identity> => {
    const bundle = await readBundle();
    if (made?.bundle !== bundle) {
      const certificate = { chain: chain.join('\n'), key };
      made = { bundle, tls: createTlsFetch({ certificate, ca: common.ca, bundle }, common.fetch) };
    }
    return { authenticate: provenByTls(clientId), proofSigner, mutualTls: true, fetch: made.tls.fetch };
  };
}

function proofSignerOf({ proofKey }: AgentOptions) {
  return signerOf(proofKey ?? freshKey(), 'proofKey');
}

function checkResource(resource: string): void {
  if (safeUrl(resource, 'resource').hash === '') return;
  throw new BailiwickError('bad_option', 'resource has a fragment', { hint: 'leave out # and what follows' });
}

function tokenInfo({ value, type, scope, details, resource, narrowed, expiresAt }: HeldToken): TokenInfo {
  return Object.freeze({
    resource,
    scope: [...scope],
    details: structuredClone(details),
    narrowed: structuredClone(narrowed),
    tokenType: type,
    expiresAt,
    dangerouslyExposeToken: () => value,
  });
}
