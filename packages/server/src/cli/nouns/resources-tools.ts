import type { Operation } from '@bailiwick/protocol';
import { openApi } from '../api.ts';
import { type Context, command, yes } from '../command.ts';
import { CliError, exitCodes } from '../errors.ts';
import { confirm } from '../io.ts';
import { describedTools } from '../mcp-tools.ts';
import { findResource } from '../names.ts';
import { sensitivities } from '../operation.ts';
import { show, table } from '../output.ts';
import type { Resource } from '../registry.ts';
import {
  proposedSensitivity,
  type ToolDifference,
  type ToolMap,
  toolDifferences,
  toolMapSchema,
} from '../tool-import.ts';
import { differencesText, shown } from '../tool-words.ts';
import { readYamlFile } from '../yaml-file.ts';

const resourceArgument = { name: 'resource', description: 'The name, identifier or id of a resource.' } as const;

const tools = command({
  name: 'resources tools',
  summary: 'List the tools of an MCP server as they are registered.',
  arguments: [resourceArgument],
  examples: [
    { command: 'bailiwick resources tools desk', does: 'What each needs, and whether a change of it is noticed' },
  ],
  async run(context, [name]) {
    const resource = await findResource(openApi(context), name);
    const items = resource.operations.filter(({ tool }) => tool !== undefined);
    show(context, { items }, () =>
      table(
        context,
        items,
        [
          { title: 'TOOL', value: ({ tool = '' }) => shown(tool) },
          { title: 'NEEDS', value: ({ scope }) => scope.join(' ') },
          { title: 'SENSITIVITY', value: ({ sensitivity }) => sensitivity },
          {
            title: 'DEFINITION',
            value: ({ tool, definition }) => definition ?? (tool?.startsWith('method:') ? '' : 'not recorded'),
            style: ({ definition }) => (definition === undefined ? 'yellow' : undefined),
          },
        ],
        `No tools yet. \`bailiwick resources import-tools ${resource.name} --url URL\` registers those of a running server.`,
      ),
    );
  },
});

const importTools = command({
  name: 'resources import-tools',
  summary: 'Register the tools of an MCP server, or look at what changed in them.',
  description:
    'Asks the server what its tools are and shows what is new, changed and gone. What is registered is the hash of all that the server says of a ' +
    'tool: its guard hides and refuses a tool that says something else, until this is run again. Tools that are new need a scope each; those that ' +
    'changed keep theirs.',
  arguments: [resourceArgument],
  options: {
    url: { value: 'URL', description: "The server's endpoint; the identifier of the resource unless said otherwise." },
    from: { value: 'FILE', description: 'Not a running server, but the JSON that one answers to tools/list.' },
    'agent-file': {
      value: 'FILE',
      description:
        'Ask as the agent of this key file. Past a guard it sees all tools if its token reaches the operation "tool:method:tools/list".',
    },
    'token-file': { value: 'FILE', description: 'Ask with the bearer token in this file.' },
    scope: {
      value: 'SCOPE',
      many: true,
      description: 'What tools that are new need. All of them, if given several times.',
    },
    sensitivity: {
      value: 'LEVEL',
      description:
        'Of tools that are new: low, medium or high. Else by what the tool says of itself, and high if it says nothing.',
    },
    map: {
      value: 'FILE',
      description:
        'A YAML file that says what each tool needs: `close_ticket: {scope: tickets:write, sensitivity: high}`, or `{skip: true}`.',
    },
    'remove-gone': { description: 'Take away the operations whose tools the server lists no more.' },
    'dry-run': { description: 'Only show what would change. Ends with 7 if something would.' },
    yes,
  },
  examples: [
    {
      command: 'bailiwick resources import-tools desk --url http://localhost:4000/mcp --scope tickets:read',
      does: 'All new tools need tickets:read',
    },
    {
      command: 'bailiwick resources import-tools desk --from tools.json --map tools.yaml --yes',
      does: 'Each as the file says, without being asked',
    },
    { command: 'bailiwick resources import-tools desk --dry-run', does: 'Has anything changed?' },
  ],
  async run(context, [name], options) {
    const api = openApi(context);
    const resource = await findResource(api, name);
    const map = options.map === undefined ? {} : readYamlFile(context, options.map, toolMapSchema);
    const { url, from } = options;
    const source = { url, from, agentFile: options['agent-file'], tokenFile: options['token-file'] };
    const described = await describedTools(context, source, resource.identifier);
    const all = toolDifferences(described, resource.operations);
    const differences = all.filter((one) => one.state !== 'new' || map[one.name]?.skip !== true);
    checkMap(map, all);
    const wanted = differences.filter(({ state }) => state !== 'same' && (state !== 'gone' || options['remove-gone']));
    const shownAll = () => differencesText(context, differences);
    const result = { resource: resource.id, tools: differences.map(asJson) };
    if (wanted.length === 0) {
      show(context, { ...result, changed: false }, () => `${shownAll()}\n\nNothing to register.`);
      return exitCodes.ok.code;
    }
    if (options['dry-run']) {
      show(context, { ...result, changed: false }, shownAll);
      return exitCodes.pending.code;
    }
    if (!context.globals.json) context.io.err(`${shownAll()}\n\n`);
    const operations = await operationsOf(context, resource, wanted, { ...options, map });
    await confirm(context.io, question(wanted), options.yes);
    const scopes = new Map(resource.scopes.map((one) => [one.name, one.description]));
    for (const scope of operations.flatMap((one) => one.scope)) if (!scopes.has(scope)) scopes.set(scope, '');
    await api.patch<Resource>(`/resources/${resource.id}`, {
      operations,
      scopes: [...scopes].map(([scope, description]) => ({ name: scope, description })),
    });
    show(context, { ...result, changed: true }, () => `${summary(wanted)} registered of ${resource.name}.`);
    return exitCodes.ok.code;
  },
});

export const resourceToolCommands = [tools, importTools];

interface Choices {
  scope: readonly string[];
  sensitivity: string | undefined;
  map: ToolMap;
}

/** The operations of the resource as they shall be. */
async function operationsOf(
  context: Context,
  { operations, scopes }: Resource,
  wanted: readonly ToolDifference[],
  choices: Choices,
): Promise<Operation[]> {
  const after = new Map<string, Operation>(operations.map((one) => [one.name, one]));
  const undecided = wanted.filter((one) => one.state === 'new' && scopeFor(one, choices) === undefined);
  if (undecided.length > 0 && !context.io.interactive) {
    throw new CliError(
      'usage',
      `It isn't said which scope these need: ${undecided.map((one) => shown(one.name)).join(', ')}.`,
      {
        hint: 'Say it for all with --scope SCOPE, or for each in a file with --map FILE.',
      },
    );
  }
  for (const { name, state, operation, described } of wanted) {
    if (operation !== undefined && state === 'gone') after.delete(operation.name);
    if (described === undefined) continue;
    const { definition } = described;
    if (operation !== undefined) {
      after.set(operation.name, { ...operation, definition });
      continue;
    }
    const one = { name, state, described };
    const scope = scopeFor(one, choices) ?? (await askScope(context, name, scopes));
    if (scope.length === 0) continue;
    const own = choices.map[name]?.name ?? (after.has(name) ? `tool:${name}` : name);
    after.set(own, { name: own, tool: name, scope, sensitivity: sensitivityFor(one, choices), definition });
  }
  return [...after.values()];
}

function scopeFor({ name }: ToolDifference, { scope, map }: Choices): string[] | undefined {
  const said = map[name]?.scope ?? scope.flatMap((text) => text.split(/[\s,]+/)).filter((text) => text !== '');
  return said.length === 0 ? undefined : [...said];
}

function sensitivityFor({ name, described }: ToolDifference, { sensitivity, map }: Choices): Operation['sensitivity'] {
  const said = map[name]?.sensitivity ?? sensitivity;
  if (said === undefined) return described === undefined ? 'high' : proposedSensitivity(described);
  const found = sensitivities.find((each) => each === said);
  if (found === undefined) {
    throw new CliError('usage', `"${said}" is not a sensitivity: it is ${sensitivities.join(', ')}.`);
  }
  return found;
}

/** An empty answer leaves the tool out: it stays hidden. */
async function askScope({ io }: Context, tool: string, scopes: Resource['scopes']): Promise<string[]> {
  const known = scopes.map(({ name }) => name).join(', ');
  const answer = await io.ask(
    `Which scope does "${shown(tool)}" need${known === '' ? '' : ` (there are: ${known})`}? Nothing leaves it out: `,
  );
  return answer.split(/[\s,]+/).filter((text) => text !== '');
}

/** A name in the file that is no tool is a mistake: the tool that was meant would be asked for, or have the scope of all. */
function checkMap(map: ToolMap, all: readonly ToolDifference[]): void {
  const unknown = Object.keys(map).filter((name) => !all.some((one) => one.name === name));
  if (unknown.length === 0) return;
  throw new CliError('usage', `The file names what is no tool of this server: ${unknown.map(shown).join(', ')}.`);
}

const counted = (many: number, what: string) => (many === 0 ? [] : [`${many} ${what}`]);

function summary(wanted: readonly ToolDifference[]): string {
  const of = (state: ToolDifference['state']) => wanted.filter((one) => one.state === state).length;
  return [
    ...counted(of('new'), 'new'),
    ...counted(of('changed'), 'changed'),
    ...counted(of('unchecked'), 'unchecked'),
    ...counted(of('gone'), 'gone'),
  ].join(', ');
}

function question(wanted: readonly ToolDifference[]): string {
  return `This registers what is shown above as looked at (${summary(wanted)}).`;
}

const asJson = ({ name, state, operation, described }: ToolDifference) => ({
  tool: name,
  state,
  ...(described === undefined ? {} : { definition: described.definition }),
  ...(operation === undefined ? {} : { scope: operation.scope, sensitivity: operation.sensitivity }),
});
