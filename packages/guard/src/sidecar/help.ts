import { settings } from './config.ts';
import { checkPath, dialects } from './dialect.ts';
import { identityHeaders } from './reply.ts';

/** What the process ends with. */
export const exitCodes = {
  ok: 0,
  unexpected: 1,
  configuration: 2,
  listen: 3,
  unreachable: 4,
} as const;

/** The text of `--help`. */
export function helpText(): string {
  const line = ([name, { value, list, help }]: (typeof entries)[number]) =>
    `  ${`--${name}${value === undefined ? '' : ` <${value}>`}${list ? ' …' : ''}`.padEnd(34)}${help}`;
  const entries = Object.entries(settings);
  return `Usage: bailiwick-guard --resource URL --credential FILE --proxy ${Object.keys(dialects).join('|')} [options]

Guards any service, without code: answers the forward-auth questions of a proxy in front of it. Each request's token, proof, place
and operation are checked as every guard checks them; the service learns of its caller in headers:
${identityHeaders.join(', ')}.

${entries.map(line).join('\n')}
  --config <FILE>                   the same as JSON: {"resource": "…", "trusted_proxy": ["10.0.0.7"]}
  --check                           validate the configuration, ask the identity provider once, and end
  -h, --help                        this

Every option can stand in the environment as well: BAILIWICK_GUARD_RESOURCE, BAILIWICK_GUARD_TRUSTED_PROXY="10.0.0.7 10.0.0.8".
Flags count before the environment, and that before the file.

Proxies ask at ${checkPath} (Envoy: path_prefix ${checkPath}). GET /healthz says that it runs, /readyz that it can decide; the resource's metadata
(RFC 9728) is answered at its well-known path. Decisions are JSON lines on standard output. SIGTERM and SIGINT end it, after what is under way.

Examples:
  bailiwick-guard --resource https://api.example.com --credential guard.json --proxy nginx
  bailiwick-guard --resource https://api.example.com/v1 --credential guard.json --proxy caddy --mode offline --log refused
  bailiwick-guard --config /etc/bailiwick/guard.json --listen 0.0.0.0:8457 --trusted-proxy 10.0.0.0/24
  bailiwick-guard --config guard-sidecar.json --check

Ends with: ${exitCodes.ok} after a signal, or a check that passed; ${exitCodes.configuration} the configuration is wrong; ${exitCodes.listen} the address can't be listened on; ${exitCodes.unreachable} (--check) the identity
provider can't be asked, or knows no such guard; ${exitCodes.unexpected} anything else.
`;
}
