/**
 * What a route of the admin API is. Everything derives from it: what Fastify serves, which scope is asked for, what is
 * accepted and what the OpenAPI document says. A reader or writer is typed by the schemas that stand beside it.
 */
import type { z } from 'zod';
import type { EventType } from '../audit/event.ts';
import type { Deps } from '../deps.ts';
import type { Queries, Tx } from '../store/database.ts';
import type { Caller } from '../web/caller.ts';
import type { AdminScope } from './scopes.ts';

type Shape = z.ZodObject;
type Parsed<Schema> = Schema extends z.ZodType ? z.output<Schema> : Record<never, never>;
type Shown<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** A request that was authenticated, found to have the scope, and parsed. */
export interface Call {
  deps: Deps;
  q: Queries;
  caller: Caller;
  /** The organization that lists show and new things are made in: the caller's own unless `?organization=` says otherwise. */
  org: { id: string; name: string; timeZone: string };
  /** Whether the request named it: then a thing of another organization is not found. */
  orgNamed: boolean;
  /** Milliseconds. */
  now: number;
  /** From `If-Match`: compared with what is there before it is changed. */
  ifMatch: string | undefined;
  /** From `Last-Event-ID`: where a stream that broke off goes on. */
  lastEventId?: string | undefined;
}

/** The same, inside the one transaction of a write. */
export interface WriteCall extends Call {
  tx: Tx;
  q: Tx;
}

/** What a write did. Without `event` it changed nothing, and nothing is recorded. */
export interface Outcome<Body> {
  body: Body;
  event?: ChangeEvent | readonly ChangeEvent[] | undefined;
  /** A secret that was just made: a member of this answer and of no other, and not of what is kept to answer again. */
  secret?: string;
}

export interface ChangeEvent {
  type: EventType;
  /** Whose data was changed. */
  org: string;
  /** What was changed: its id. */
  target: string;
  /** What it was changed to, free of anything personal. */
  changed?: Readonly<Record<string, unknown>> | undefined;
  /** What is personal of it (purposes, owners): sealed. */
  details?: Readonly<Record<string, unknown>> | undefined;
  /** For whom it was: what is personal of it is sealed with that person, and goes with them. */
  person?: string | undefined;
  /** Nobody remembers anything of this between requests, so that the memories of the registry stay valid. */
  unremembered?: boolean;
}

interface Described<P, Q, B, R> {
  /** Below `/admin/v1`, with parameters as `{id}`. */
  path: string;
  /** `operationId` of the OpenAPI document. */
  id: string;
  summary: string;
  description?: string;
  /** All of them are needed. */
  scopes: readonly AdminScope[];
  /** Or this one alone, with which the route shows and does less: what belongs to the caller's own owner. */
  orScope?: AdminScope;
  params?: P;
  query?: Q;
  body?: B;
  /** A body as the documentation shows it. */
  example?: unknown;
  /** Absent: 204 without a body. */
  response?: R;
}

export interface ReadRoute extends Described<Shape, Shape, z.ZodType, z.ZodType> {
  kind: 'read';
  /** `POST` for a question that has a body (`ask`). */
  method: 'GET' | 'POST';
  /** It answers with server-sent events, and goes on until whoever asked goes, or their token ends. */
  stream?: true;
  // biome-ignore lint/suspicious/noExplicitAny: typed where it is written (`read`), by the schemas beside it
  handler(call: Call, input: any): Promise<unknown>;
}

export interface WriteRoute extends Described<Shape, Shape, z.ZodType, z.ZodType> {
  kind: 'write';
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  status: 200 | 201 | 204;
  // biome-ignore lint/suspicious/noExplicitAny: typed where it is written (`write`), by the schemas beside it
  prepare?(call: Call, input: any): Promise<unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: typed where it is written (`write`), by the schemas beside it
  handler(call: WriteCall, input: any, prepared: any): Promise<Outcome<unknown>>;
  // biome-ignore lint/suspicious/noExplicitAny: typed where it is written (`write`), by the schemas beside it
  finish?(call: Call, body: any, input: any): Promise<unknown>;
}

export type Route = ReadRoute | WriteRoute;

/** A route that changes nothing. */
export function read<
  R extends z.ZodType,
  P extends Shape | undefined = undefined,
  Q extends Shape | undefined = undefined,
>(
  route: Omit<Described<P, Q, undefined, R>, 'response'> & {
    response: R;
    handler(call: Call, input: { params: Parsed<P>; query: Parsed<Q> }): Promise<Shown<R>>;
  },
): ReadRoute {
  return { ...(route as unknown as ReadRoute), kind: 'read', method: 'GET' };
}

/** A route that changes nothing and answers with what happens, as it happens: pieces of an event stream. */
export function follow<Q extends Shape | undefined = undefined>(
  route: Omit<Described<undefined, Q, undefined, undefined>, 'response' | 'body' | 'params'> & {
    handler(call: Call, input: { query: Parsed<Q> }): Promise<AsyncGenerator<string, void>>;
  },
): ReadRoute {
  return { ...(route as unknown as ReadRoute), kind: 'read', method: 'GET', stream: true };
}

/** A route that changes nothing, for a question that is too large for a URL. */
export function ask<B extends z.ZodType, R extends z.ZodType, P extends Shape | undefined = undefined>(
  route: Omit<Described<P, undefined, B, R>, 'response' | 'body'> & {
    body: B;
    response: R;
    handler(call: Call, input: { params: Parsed<P>; body: Parsed<B> }): Promise<Shown<R>>;
  },
): ReadRoute {
  return { ...(route as unknown as ReadRoute), kind: 'read', method: 'POST' };
}

/**
 * A route that changes something. `handler` runs in one transaction together with the idempotency row and the audit
 * event, and awaits nothing but `tx`; what takes long (making keys) is done before, by `prepare`, and what can be said only once it is durable
 * is added after, by `finish`: anew, where the request was sent again.
 */
export function write<
  P extends Shape | undefined = undefined,
  Q extends Shape | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
  R extends z.ZodType | undefined = undefined,
  Prepared = undefined,
>(
  method: WriteRoute['method'],
  route: Described<P, Q, B, R> & {
    status?: 200 | 201 | 204;
    prepare?(call: Call, input: { params: Parsed<P>; query: Parsed<Q>; body: Parsed<B> }): Promise<Prepared>;
    handler(
      call: WriteCall,
      input: { params: Parsed<P>; query: Parsed<Q>; body: Parsed<B> },
      prepared: Prepared,
    ): Promise<Outcome<Shown<R>>>;
    finish?(
      call: Call,
      body: Shown<R>,
      input: { params: Parsed<P>; query: Parsed<Q>; body: Parsed<B> },
    ): Promise<Shown<R>>;
  },
): WriteRoute {
  const status = route.status ?? (route.response === undefined ? 204 : 200);
  return { ...(route as unknown as WriteRoute), kind: 'write', method, status };
}
