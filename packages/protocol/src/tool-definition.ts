import { canonicalJson } from './canonical-json.ts';
import { sha256Base64url } from './encoding.ts';

/**
 * The hash by which a changed MCP tool is noticed: SHA-256, base64url, over the canonical JSON (RFC 8785) of everything that a `tools/list` says of
 * the tool. Name, texts, schemas, annotations and `_meta` can all steer a model, and icons the person who looks on. `execution` alone is left out: it says
 * how a call is carried, and the newest revision of MCP has no word for it, so that a tool that didn't change would differ from client to client.
 * @throws ProtocolError `not_canonical` for what canonical JSON can't hold
 * @see MCP 2026-07-28, Tools
 */
export function toolDefinition(tool: Readonly<Record<string, unknown>>): string {
  const { execution: _carried, ...said } = tool;
  return sha256Base64url(canonicalJson(said));
}
