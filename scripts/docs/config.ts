import { otherVariables, settings } from '../../packages/server/src/config.ts';
import type { Setting } from '../../packages/server/src/lib/settings.ts';
import { prose } from './markdown.ts';

/** docs/reference/config.md */
export function configReference(): string {
  const lines = [
    '# Configuration',
    '',
    '<!-- Made by `npm run docs` from packages/server/src/config.ts. Change it there. -->',
    '',
    'Every setting has a default that runs on one machine; nothing needs to be written. In the order of strength:',
    '',
    '1. an option of `bailiwick serve`, such as `--port`',
    '2. the environment: `BAILIWICK_` and the name in capitals, lists with commas, `name=value` for each of a map’s, an empty variable counts as not set',
    '3. `bailiwick.yaml` in the current folder, or the file that `--config` or `BAILIWICK_CONFIG` names',
    '4. the default',
    '',
    'An unknown name, in the file or among `BAILIWICK_…`, stops the start, and so does a value that cannot be: with a',
    'sentence that says where it stood and what to write. `bailiwick init` writes a file with every setting explained.',
    '',
    '```yaml',
    '# bailiwick.yaml',
    'port: 9000',
    'token:',
    '  lifetime_seconds: 300',
    '```',
    '',
    '## Rules between settings',
    '',
    '- Plain http is served to this machine alone. A `host` that others reach needs `tls.cert` and `tls.key`, or the proxy',
    '  that ends TLS named in `trusted_proxies`; `issuer` is then the public https address and must be said.',
    '- An https `issuer` needs one of the two as well.',
    '- `keys.jwks_max_age_seconds` is less than `keys.publish_seconds`, so that no verifier meets a key it has not fetched.',
    '- A Kubernetes Service named `bailiwick` puts `BAILIWICK_PORT=tcp://…`, `BAILIWICK_SERVICE_HOST` and their like into',
    '  every pod: these are recognised and ignored.',
    '',
    '## Settings',
    '',
    ...settings.flatMap(section),
    '## Variables of the command line',
    '',
    ...Object.entries(otherVariables).map(([name, what]) => `- \`${name}\`: ${prose(what)}`),
  ];
  return `${lines.join('\n')}\n`;
}

function section(setting: Setting): string[] {
  return [
    `### \`${setting.name}\``,
    '',
    prose(setting.description),
    '',
    `- environment: \`${setting.env}\``,
    `- must be ${prose(setting.expects)}`,
    `- default: ${defaultOf(setting)}`,
    `- for example: \`${setting.env}=${setting.example}\``,
    '',
  ];
}

function defaultOf(setting: Setting): string {
  if (setting.computed !== undefined) return prose(setting.computed);
  if (setting.default === undefined) return 'not set';
  if (setting.kind === 'map') return 'none';
  if (!Array.isArray(setting.default)) return `\`${setting.default}\``;
  return setting.default.length === 0 ? 'none' : setting.default.map((item) => `\`${item}\``).join(', ');
}
