/** `events --follow` at a server that is killed and started again: each event once, none missed. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { commandLine } from '../testing/command-line.ts';
import { databases } from '../testing/harness.ts';
import { killableServer } from '../testing/killed.ts';
import { until } from '../testing/until.ts';

for (const database of databases) {
  test(`events --follow goes on over restarts of the server: each once, none missed (${database})`, async (t) => {
    const { server, folder, kill, startAgain } = await killableServer(t, database);
    let out = '';
    let err = '';
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const cli = commandLine(undefined, {
      env: { BAILIWICK_IDENTITY: path.join(folder, 'operator.json') },
      now: server.clock.now,
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      terminated: () => ended,
      pause: (ms) => setTimeout(Math.min(ms, 500)),
    });
    t.after(() => {
      end();
      cli.close();
    });
    const made: string[] = [];
    let names = 0;
    const make = async () => {
      const { id } = await server.admin<{ id: string }>('POST', '/teams', { name: `team-${names++}` });
      made.push(id);
      return id;
    };
    const told = () => {
      const lines = out.split('\n').filter((line) => line !== '');
      return lines.map((line) => (JSON.parse(line) as { target: string }).target);
    };
    const isTold = (id: string) => until(told, (targets) => targets.includes(id));

    await make();
    await make();
    const following = cli('events', '--follow', '--type', 'team.created', '--limit', '1', '--json');
    await isTold(made[1] as string);
    made.shift(); // older than what was asked for
    await isTold(await make());
    for (let round = 0; round < 2; round += 1) {
      await kill();
      await until(
        () => err,
        (text) => text.split('The server is away.').length === round + 2,
      );
      await startAgain();
      const last = [await make(), await make()].at(-1) as string;
      await isTold(last);
    }
    end();
    assert.equal((await following).code, 0);
    const mine = told().filter((target) => made.includes(target));
    assert.deepEqual(mine, made);
  });
}
