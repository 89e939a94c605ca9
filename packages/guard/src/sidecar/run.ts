import { GuardConfigError } from '../options.ts';
import { type Invocation, readInvocation, type SidecarConfig, SidecarConfigError } from './config.ts';
import { checkPath } from './dialect.ts';
import { exitCodes, helpText } from './help.ts';
import { guardOf, type Sidecar, type SidecarSeams, startSidecar } from './server.ts';

/** What the program takes from the process that it runs in. */
export interface World {
  args: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  /** Standard output: decisions, or help. */
  out(text: string): void;
  /** Standard error: what a person reads. */
  err(text: string): void;
  /** Resolves when the process is asked to end. */
  ended: Promise<unknown>;
  seams?: SidecarSeams;
  /** Hears of the sidecar once it listens. */
  started?: (sidecar: Sidecar) => void;
}

/** Runs until the process is asked to end. Resolves with the exit code; never rejects. */
export async function run(world: World): Promise<number> {
  try {
    const { action, config } = readInvocation(world.args, world.env);
    return config === undefined ? help(world) : await begin(world, action, config);
  } catch (error) {
    const wrong = error instanceof SidecarConfigError || error instanceof GuardConfigError;
    if (wrong || (error as { name?: string }).name === 'ProtocolError') {
      world.err(`${(error as Error).message}\n`);
      return exitCodes.configuration;
    }
    world.err(`${error instanceof Error ? error.stack : String(error)}\n`);
    return exitCodes.unexpected;
  }
}

function help({ out }: World): number {
  out(helpText());
  return exitCodes.ok;
}

async function begin(world: World, action: Invocation['action'], config: SidecarConfig): Promise<number> {
  const guard = guardOf(config, (line) => world.out(`${JSON.stringify(line)}\n`), world.seams);
  if (action === 'check') {
    try {
      await guard.ready();
    } catch (error) {
      world.err(`The configuration is fine, but the guard could not begin: ${(error as Error).message}\n`);
      return exitCodes.unreachable;
    } finally {
      await guard.close();
    }
    world.err(`The configuration is fine, and the identity provider knows this guard of ${config.resource}.\n`);
    return exitCodes.ok;
  }
  let sidecar: Sidecar;
  try {
    sidecar = await startSidecar(config, guard);
  } catch (error) {
    await guard.close();
    const { host, port } = config.listen;
    world.err(
      `Can't listen on ${host}:${port}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}.\n`,
    );
    return exitCodes.listen;
  }
  world.err(banner(config, sidecar));
  world.started?.(sidecar);
  // What fails is reported by the guard itself, and tried again; until then every answer is no.
  guard.ready().then(
    () => world.err('Ready: keys, operations and what was revoked are known.\n'),
    () => {},
  );
  await world.ended;
  world.err('Ending: what is under way is finished first.\n');
  await sidecar.close();
  return exitCodes.ok;
}

function banner({ resource, proxy, mode, trustedProxies, reports }: SidecarConfig, { url, guard }: Sidecar): string {
  const late = mode === 'offline' ? 'offline: a revoked token works for up to 15 minutes' : mode;
  return `Bailiwick guards ${resource}
  asked by   ${proxy}, at ${url}${checkPath}, from ${trustedProxies.join(', ')}
  tokens     ${late}
  reports    ${typeof reports === 'string' ? reports : reports.folder}
  metadata   ${guard.metadataUrl}, answered here: have ${proxy} pass it on
`;
}
