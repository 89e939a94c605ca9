import type { IncomingMessage } from 'node:http';
import type { Networks } from '@bailiwick/protocol';
import type { Decision } from '../decide.ts';
import type { Guard } from '../guard.ts';
import { type Answer, answerTo, Refusal } from '../refusal.ts';
import { type GuardRequest, pathOf } from '../request.ts';
import { type DialectName, originalRequest, ProxyError } from './dialect.ts';
import { allowedReply, type Reply, refusedReply } from './reply.ts';

/** What a question is answered with. */
export interface Checking {
  guard: Pick<Guard, 'decide' | 'metadataUrl' | 'report' | 'status'>;
  proxy: DialectName;
  isProxy: Networks;
  clientCertificates: boolean;
}

/**
 * Answers a proxy that asks whether its client's request may pass. Whatever goes wrong, the answer is none that any proxy takes for a yes.
 */
export async function check(checking: Checking, request: IncomingMessage): Promise<Reply> {
  const { guard, proxy, isProxy } = checking;
  const { remoteAddress } = request.socket;
  if (remoteAddress === undefined || !isProxy(remoteAddress)) {
    guard.report(`${remoteAddress ?? 'Somebody'} asked, which is no trusted proxy: name it with --trusted-proxy.`);
    return refusedReply(proxy, refused('Only the proxy in front of the service may ask here.', 'not a trusted proxy'));
  }
  let original: GuardRequest;
  try {
    original = originalRequest(proxy, request, { certificates: checking.clientCertificates });
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    guard.report(`The proxy ${error.message}: its configuration is not the one for ${proxy}.`);
    const detail = 'The proxy in front of the service is set up wrongly.';
    return refusedReply(proxy, refused(detail, error.message, 'internal'));
  }
  return replyTo(checking, original, await guard.decide(original));
}

function replyTo({ guard, proxy }: Checking, original: GuardRequest, decision: Decision): Reply {
  if (decision.allowed) return allowedReply(proxy, decision);
  // The metadata is an answer in place of the service's; to a proxy that asks it would be a yes.
  if (decision.status < 400) {
    guard.report(`The proxy asks about ${pathOf(original.url)}: pass that on to the sidecar instead.`);
    return refusedReply(proxy, refused('The metadata is not where the service is.', 'metadata behind the check'));
  }
  return refusedReply(proxy, decision);
}

function refused(
  detail: string,
  reason: string,
  code: 'operation_not_listed' | 'internal' = 'operation_not_listed',
): Answer {
  return answerTo(new Refusal(code, detail, { reason }), { metadataUrl: '', algorithms: [], bearer: false });
}
