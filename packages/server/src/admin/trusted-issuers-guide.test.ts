/** The guide docs/guides/trusted-issuers.md: its commands and its exchange, in their order, and what they say. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createAgent } from '@bailiwick/agent';
import { parseCompact } from '@bailiwick/protocol';
import { type CommandLine, commandLine } from '../testing/command-line.ts';
import { type ForeignIssuer, foreignIssuer } from '../testing/foreign-issuer.ts';
import { startServer, type TestServer } from '../testing/harness.ts';
import { testWeb } from '../testing/signal-receiver.ts';

const page = readFileSync(new URL('../../../../docs/guides/trusted-issuers.md', import.meta.url), 'utf8');
const section = (title: string) => page.split(`\n## ${title}\n`)[1]?.split('\n## ')[0] ?? assert.fail(title);
const block = (text: string, kind: string) =>
  new RegExp(`\`\`\`${kind}\n([\\s\\S]*?)\`\`\``).exec(text)?.[1] ?? assert.fail(`no block of ${kind}`);
const [login, home] = ['https://login.example.com', 'http://localhost:8455'];

let web: Awaited<ReturnType<typeof testWeb>>;
let idp: ForeignIssuer;
let server: TestServer;
let cli: CommandLine;
before(async () => {
  web = await testWeb();
  server = await startServer({ config: { outbound: { ca_file: web.caFile } } });
  idp = await foreignIssuer(web, server.clock);
  cli = commandLine(server);
});
after(async () => {
  cli.close();
  await server.close();
  idp.close();
  web.remove();
});

/** What was said, as the guide says it: with other names of the servers, without ids and times. */
const asInGuide = (said: string) =>
  said
    .replaceAll(idp.issuer, login)
    .replaceAll(server.issuer, home)
    .replaceAll(/\b([a-z]{3}_)[0-9a-z]{26}\b/g, '$1…')
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ/g, '(a time)');

/** Runs a command of the guide, and answers what it said. */
async function run(line: string): Promise<string> {
  const [, words = assert.fail(line)] = /^npx bailiwick (.*)$/.exec(line) ?? [];
  const argv = [...words.replaceAll(login, idp.issuer).matchAll(/'([^']*)'|(\S+)/g)].map(([, a, b]) => a ?? b ?? '');
  const { code, out, err } = await cli(...argv);
  assert.equal(code, 0, `${line}\n${err}`);
  return out;
}

const linesOf = (commands: string) =>
  commands
    .replaceAll(/\\\n\s*/g, '')
    .trim()
    .split('\n');

/** Runs the commands of a part: the last of each block says what stands behind it. */
async function runPart(part: string) {
  for (const [, commands = '', says] of part.matchAll(/```sh\n([\s\S]*?)```\n(?:\n```\n([\s\S]*?)```)?/g)) {
    let last = '';
    for (const line of linesOf(commands)) if (!line.startsWith('export ')) last = await run(line);
    if (says !== undefined) assert.equal(asInGuide(last), asInGuide(says));
  }
}

test('from an ID token to a token to act with, as the guide says', async () => {
  await runPart(page.split('\n## ')[0] ?? '');
  await runPart(section('Say who somebody is there'));
  const [, body = ''] = /PATCH \/admin\/v1\/people\/per_…\n(.*)\n/.exec(page) ?? [];
  const ada = await cli.json<{ id: string }>('people', 'show', 'ada@example.com');
  const identities = JSON.parse(body.replace(login, idp.issuer));
  assert.deepEqual(await server.admin('PATCH', `/people/${ada.id}`, identities), ada, 'the same by the API');

  const { id } = await cli.json<{ id: string }>('agents', 'show', 'assistant');
  cli.write('rules.json', block(section('Trust the issuer'), 'json').replace('agt_…', id));
  await runPart(section('Trust the issuer'));
  cli.write('fleet.yaml', block(section('The same in a file'), 'yaml').replaceAll(login, idp.issuer));
  const { out, err } = await cli('apply', '-f', 'fleet.yaml', '--dry-run');
  assert.match(out, /^Nothing to change/, err);

  const sent: URLSearchParams[] = [];
  const { client_id: clientId, jwk: key } = JSON.parse(readFileSync(path.join(cli.folder, 'assistant.json'), 'utf8'));
  const assistant = createAgent({
    ...{ issuer: server.issuer, clientId, key, now: server.clock.now },
    fetch: (url, init) => {
      if (init?.method === 'POST') sent.push(new URLSearchParams(String(init.body)));
      return fetch(url, init);
    },
  });
  const of = (more: object = {}) =>
    idp.sign(
      idp.claims({
        ...{ sub: '248289761001', aud: 'assistant-app', hd: 'example.com', groups: ['org/sales/travellers'] },
        ...more,
      }),
    );
  const idToken = await of();
  const exchange = async (subject: string) =>
    (await assistant.onBehalfOf({ idToken: subject }).token()).dangerouslyExposeToken();
  const { payload } = parseCompact(await exchange(idToken));
  const shown = section('Exchange');
  const [parameters = ''] = /^grant_type=[^`]*(?=\n```)/m.exec(shown) ?? assert.fail('no exchange');
  const form = new URLSearchParams(parameters.replaceAll('\n', '&'));
  form.set('subject_token', idToken);
  for (const [name, value] of form) assert.equal(sent.at(-1)?.get(name), value, name);
  const said = JSON.parse(asInGuide(JSON.stringify(payload)));
  for (const [claim, value] of Object.entries(JSON.parse(block(shown, 'json')))) {
    assert.deepEqual(said[claim], value, claim);
  }
  assert.equal(Number(payload.exp) - Number(payload.iat), 300, 'the rule says how long');
  await assert.rejects(
    async () => exchange(await of({ groups: ['org/a/b/travellers'] })),
    /no rule .* lets this agent/,
  );

  const [stop = '', back = ''] = linesOf(block(section('End it'), 'sh'));
  await run(stop);
  const another = await of();
  await assert.rejects(() => exchange(another), /its issuer is not trusted|is suspended/);
  await run(back);
  await exchange(another);
});
