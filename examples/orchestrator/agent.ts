/** A secretary at somebody's mail, and three agents in a row that work for it: `node ../../scripts/run.mjs agent.ts` */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { agentFromFile, type BailiwickError, type DelegateOptions } from '@bailiwick/agent';

const mail = 'http://localhost:3085';

interface Member {
  name: string;
  work: string;
  passes?: Pick<DelegateOptions, 'scope' | 'lifetimeSeconds' | 'passing' | 'limits'>;
}

// #region line
/** Each has its work, and passes on to the next what that needs: the nearer to what strangers write, the less. */
const line: readonly Member[] = [
  {
    name: 'secretary',
    work: 'POST /outbox',
    passes: { scope: ['mail:list', 'mail:read', 'mail:draft'], lifetimeSeconds: 3600, passing: { depth: 2 } },
  },
  {
    name: 'writer',
    work: 'POST /drafts',
    passes: { scope: ['mail:list', 'mail:read'], lifetimeSeconds: 1800, passing: { depth: 1 } },
  },
  { name: 'reader', work: 'GET /mail/1', passes: { scope: ['mail:list'], lifetimeSeconds: 600, limits: { uses: 5 } } },
  { name: 'sorter', work: 'GET /mail' },
];
// #endregion

const { argv } = process;
const at = line.findIndex(({ name }) => name === (argv[2] ?? 'secretary'));
const [above, me, next] = [line[at - 1], line[at] as Member, line[at + 1]];
const say = (words: string) => console.log(`${me.name}: ${words}`);

// #region given
const agent = agentFromFile(`${me.name}.json`);
const mandate = above ? await fromAbove() : (await agent.mandates())[0]?.id;
if (mandate === undefined) throw new Error('Nobody has let it act: give it a mandate.');
const acting = agent.onBehalfOf(mandate, { resource: mail });
// #endregion
say(`may ${(await acting.token()).scope.join(' ')}`);
if (above) say(`${above.work} is refused: ${(await call(above.work)).refused}`);
const below = next && (await started(next, mandate));

// #region work
let [calls, more, refused] = [0, Number.POSITIVE_INFINITY, ''];
below?.once('exit', () => (more = 20)); // whoever worked for it was stopped, and it goes on
while (more-- > 0 && refused === '') {
  const answer = await call(me.work);
  ({ refused } = answer);
  if (calls === 0 && !next) say(`is at work, as ${answer.actors.join(' ◀ ')}`);
  if (refused === '') calls++;
  await pause(50);
}
say(refused === '' ? `went on, and none of ${calls} calls was refused` : `stopped after ${calls} calls: ${refused}`);
// #endregion
process.disconnect?.();

/** Calls the API. Answers who it saw acting, or with what words it refused. */
async function call(operation: string): Promise<{ actors: string[]; refused: string }> {
  const [method = '', path] = operation.split(' ');
  try {
    const answer = await acting.fetch(`${mail}${path}`, { method });
    const { actors = [], detail } = (await answer.json()) as { actors?: string[]; detail?: string };
    return { actors, refused: answer.ok ? '' : `${answer.status}. ${detail}` };
  } catch (error) {
    return { actors: [], refused: (error as BailiwickError).message };
  }
}

// #region start
/** Starts the next one, which says who it is, and hears what it was given: two ids, and neither is a secret. */
async function started({ name }: Member, mandate: string) {
  const child = fork(import.meta.filename, [name]);
  const [to] = (await once(child, 'message')) as [string];
  const part = await agent.delegate({ mandate, to, resource: mail, ...me.passes });
  child.send(part.id);
  return child;
}

/** The other end of that. It ends with whoever started it. */
async function fromAbove(): Promise<string> {
  process.once('disconnect', () => process.exit());
  process.send?.(agent.clientId);
  const [id] = (await once(process, 'message')) as [string];
  return id;
}
// #endregion
