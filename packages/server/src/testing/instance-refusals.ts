/** Tables of what is refused to instances: each row with the right error, and nothing secret in it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { databases, startServer, type TestServer } from './harness.ts';
import { type EnrolOptions, type InstanceClient, instanceClient, type Reply } from './instance-client.ts';
import { type TokenClient, tokenClient } from './token-client.ts';

export interface Scene {
  server: TestServer;
  client: TokenClient;
  at: InstanceClient;
  /** Another agent. */
  other: { client: TokenClient; at: InstanceClient };
}

/** What is sent, and what it hears. */
export type Row = [
  sentence: string,
  request: (scene: Scene) => Promise<Reply>,
  status: number,
  error: string,
  says?: RegExp,
];

/** Enrols by the key of the agent, or by a new enrolment token, unless the options say otherwise. */
export const byKey = (options: (scene: Scene) => EnrolOptions | Promise<EnrolOptions>) => async (scene: Scene) =>
  scene.at.enrolByKey(await options(scene));
export const byToken = (options: (scene: Scene) => EnrolOptions | Promise<EnrolOptions>) => async (scene: Scene) =>
  scene.at.enrol(await options(scene));

/** Two agents that nobody has refused anything yet. */
export async function newScene(server: TestServer): Promise<Scene> {
  const [client, other] = [await tokenClient(server), await tokenClient(server)];
  return {
    server,
    client,
    at: instanceClient(server, client),
    other: { client: other, at: instanceClient(server, other) },
  };
}

/** Holds the rows of each table against a server on each database. `anew`: agents come to an end in them. */
export function refuses(tables: readonly { what: string; rows: readonly Row[]; anew?: boolean }[]): void {
  for (const database of databases) {
    describe(`is refused, on ${database}`, () => {
      let server: TestServer;
      before(async () => {
        server = await startServer({ database, config: { limits: { tokens_per_minute: 100_000 } } });
      });
      after(() => server.close());

      for (const { what, rows, anew } of tables) {
        describe(what, () => {
          let shared: Scene;
          before(async () => {
            shared = await newScene(server);
          });
          for (const [sentence, request, status, error, says] of rows) {
            test(sentence, async () => {
              if (anew) shared = await newScene(server);
              const { status: heard, headers, body } = await request(shared);
              assert.equal(heard, status, JSON.stringify(body));
              assert.equal(body.error, error, JSON.stringify(body));
              if (says) assert.match(body.error_description, says);
              assert.doesNotMatch(JSON.stringify(body), /bwe_[A-Za-z0-9_-]{43}|eyJ/, 'no secret comes back');
              assert.equal(headers.get('cache-control'), 'no-store');
              if (status === 401) assert.match(headers.get('www-authenticate') ?? '', /DPoP/);
            });
          }
        });
      }
    });
  }
}
