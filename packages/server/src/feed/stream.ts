/** What is revoked, pushed as it happens. @see https://html.spec.whatwg.org/multipage/server-sent-events.html */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { eventOf } from '../feed-leases/leases.ts';
import { followSession, heartbeatMs } from '../feed-leases/requests.ts';
import type { StreamOut } from '../feed-leases/session.ts';
import type { Caller } from '../web/caller.ts';
import { mustHaveScope } from '../web/service.ts';
import { afterOf } from './body.ts';

/** Who has so much (bytes) unread is dropped: it comes back by its number. */
const unreadAtMost = 1024 * 1024;

/** @throws Problem 400, 403; FeedRefusal for a session that isn't there, or another agent's */
export async function streamFeed(
  deps: Deps,
  caller: Caller,
  request: FastifyRequest<{ Params: { session: string } }>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  mustHaveScope(deps, caller, 'feed:follow');
  const after = afterOf(request.query);
  const { raw } = reply;
  const early: string[] = [];
  let begun = false;
  let closed = false;
  let cancel = () => {};
  const out: StreamOut = {
    write(text) {
      if (closed) return false;
      if (!begun) early.push(text);
      else raw.write(text);
      return raw.writableLength <= unreadAtMost;
    },
    close() {
      closed = true;
      cancel();
      if (begun) end();
    },
  };
  // who doesn't read won't read the end either
  const end = () => (raw.writableLength > 0 ? raw.destroy() : raw.end());
  const {
    messages,
    rev,
    end: leave,
  } = await followSession(deps, {
    id: request.params.session,
    agent: caller.agent,
    after,
    out,
  });
  reply.hijack();
  raw.on('close', () => {
    closed = true;
    cancel();
    leave();
  });
  raw.on('error', () => raw.destroy());
  raw.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no', // nginx would keep news to itself
  });
  begun = true;
  raw.write(`: follows ${rev}\n\n${parts(messages, rev)}${early.join('')}`);
  if (closed) end();
  else beat();
  return reply;

  function beat(): void {
    cancel = deps.clock.after(heartbeatMs, () => {
      if (closed) return;
      if (out.write(': still here\n\n')) beat();
      else out.close();
    });
  }
}

/** What comes first: a reader is at `rev` only with the last of it. */
const parts = (messages: readonly string[], rev: number) =>
  messages.map((message, i) => (i === messages.length - 1 ? eventOf(rev, message) : `data: ${message}\n\n`)).join('');
