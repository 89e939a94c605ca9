/** What the doctor says of trusted issuers: of their keys, and of rules by which nobody can act. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type CommandLine, commandLine } from '../../testing/command-line.ts';
import { type IssuerScene, issuerScene } from '../../testing/issuer-scene.ts';
import type { Finding } from './finding.ts';

let scene: IssuerScene;
let cli: CommandLine;
before(async () => {
  scene = await issuerScene('sqlite');
  cli = commandLine(scene.server);
});
after(async () => {
  cli.close();
  await scene.close();
});

/** What it says of issuers, as `status: message`. */
async function said(): Promise<string[]> {
  const { findings } = JSON.parse((await cli('doctor', '--json')).out) as { findings: Finding[] };
  return findings
    .filter(({ check }) => check === 'issuers')
    .map(({ status, message, todo }) => {
      assert.equal(todo === undefined, status === 'ok');
      return `${status}: ${message}`;
    });
}

const fine = 'ok: keys of each are known, and somebody can act by each rule (1)';
const post = (path: string, body: object = {}) => scene.server.admin<{ id: string }>('POST', path, body);
const rules = (...some: object[]) =>
  scene.server.admin('PATCH', `/trusted-issuers/${scene.issuer.id}`, { rules: some });

test('keys that could not be fetched are a warning, and a failure once they are believed no more', async () => {
  const { idp, issuer, server } = scene;
  assert.deepEqual(await said(), [fine]);
  const { keysWanted } = idp;
  idp.keysWanted = (response) => response.writeHead(503).end();
  await post(`/trusted-issuers/${issuer.id}/refresh`);
  const { fault } = await server.admin<{ fault: string }>('GET', `/trusted-issuers/${issuer.id}`);
  assert.match(fault, /503/);
  const named = `${idp.issuer} (${fault}).`;
  const old = `warn: Their keys could not be fetched the last time, and are believed for a day: ${named}`;
  assert.deepEqual(await said(), [old]);
  server.clock.advance(86_400_000);
  assert.deepEqual(await said(), [old]);
  server.clock.advance(1);
  const dead = `fail: No token of theirs is taken, since their keys can't be had: ${named}`;
  assert.deepEqual(await said(), [dead]);
  await post(`/trusted-issuers/${issuer.id}/suspend`);
  assert.deepEqual(await said(), [], 'nobody is to act by it now');
  await post(`/trusted-issuers/${issuer.id}/resume`);
  idp.keysWanted = keysWanted;
  await post(`/trusted-issuers/${issuer.id}/refresh`);
  assert.deepEqual(await said(), [fine]);
});

test('an issuer whose keys were never had', async () => {
  const issuer = 'https://nobody.example';
  const { id } = await scene.trust({ issuer, jwks_uri: 'https://localhost:1/jwks' });
  const [only] = await said();
  assert.match(String(only), /^fail: No token of theirs is taken, .*: https:\/\/nobody\.example \(.*\)\.$/);
  await post(`/trusted-issuers/${id}/remove`);
});

test('a rule that comes behind one that takes all, or whose agents have no role', async () => {
  const { scene: exchanges, rule, idp } = scene;
  const idle = (why: string) => [`warn: Nobody can act by these rules: late of ${idp.issuer} (${why}).`];
  const [hd, groups] = [{ exact: 'example.com' }, { prefix: 'travel/' }];
  const other = await exchanges.agent();
  await rules(rule({ claims: { hd } }), rule({ name: 'late', claims: { hd, groups } }));
  assert.deepEqual(await said(), idle('staff before it takes all that would fit'));
  await rules(rule({ claims: { hd, groups } }), rule({ name: 'late', claims: { hd } }));
  assert.deepEqual(await said(), [fine], 'the narrower one comes first');
  await rules(rule({ claims: { hd } }), rule({ name: 'late', claims: { hd: { prefix: 'example' } } }));
  assert.deepEqual(await said(), [fine], 'they ask for different things');
  await rules(rule(), rule({ name: 'late', agents: [other.clientId] }));
  assert.deepEqual(await said(), [fine], 'each is another agent’s');
  await scene.server.admin('DELETE', `/agents/${other.clientId}/roles/${exchanges.api.role}`);
  assert.deepEqual(await said(), idle('no role of its agents gives any of it'));
  await rules(rule(), rule({ name: 'late', agents: [other.clientId, scene.agent.clientId], claims: { hd } }));
  assert.deepEqual(await said(), [fine], 'one of them can');
  await rules(rule());
});

test('a rule whose scope, resource or agents are gone', async () => {
  const { scene: exchanges, rule, idp, server } = scene;
  const idle = (why: string) => [`warn: Nobody can act by these rules: late of ${idp.issuer} (${why}).`];
  const api = await exchanges.anotherApi();
  const agent = await exchanges.agent([exchanges.api, api]);
  const late = (more: object) => rules(rule(), rule({ name: 'late', agents: [agent.clientId], ...more }));
  await late({ resources: [{ resource: api.identifier, scope: 'read' }] });
  assert.deepEqual(await said(), [fine]);
  const scopes = ['book', 'pay'].map((name) => ({ name }));
  await server.admin('PATCH', `/resources/${api.id}`, { scopes });
  assert.deepEqual(await said(), idle('what it allows is there no more'), 'its role names the scope still');
  await late({ resources: [{ resource: api.identifier, scope: 'pay' }] });
  assert.deepEqual(await said(), [fine]);
  await post(`/resources/${api.id}/retire`);
  assert.deepEqual(await said(), idle('what it allows is there no more'));
  await late({});
  await post(`/agents/${agent.clientId}/suspend`);
  assert.deepEqual(await said(), [fine], 'who is suspended comes back');
  await post(`/agents/${agent.clientId}/retire`);
  assert.deepEqual(await said(), idle('its agents are retired'));
});
