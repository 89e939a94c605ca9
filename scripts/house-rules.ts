/** The rules of this house that no linter knows. Each takes files and says in sentences what is wrong. */

/** Paths from the workspace's root, and what stands in them. */
export type Files = ReadonlyMap<string, string>;

/** The one file per package in which the outside world comes in: time, randomness, the network. */
const outsideWorld = [
  /^packages\/server\/src\/lib\//,
  /^packages\/agent\/src\/options\.ts$/,
  /^packages\/guard\/src\/runtime\.ts$/,
];

// told apart from a mention of them in words or in types: called, or handed on
const worldly =
  /(?<![.\w])(Date\.now|Math\.random|performance\.now|randomUUID\s*\(|new Date\(\s*\)|(?<!typeof )globalThis\.fetch|fetch\s*\()/;

const isProduct = (path: string) =>
  /^packages\/[^/]+\/src\/.*\.ts$/.test(path) && !/\.test\.ts$|\/testing[./]/.test(path);

/** Tests own time because nothing else looks at the clock: no time, randomness or `fetch` but in the named places. */
export function worldOutsideLib(files: Files): string[] {
  return linesOf(files, (path) => isProduct(path) && !outsideWorld.some((place) => place.test(path)))
    .filter(
      ({ line }) => !/^(\*|\/\/|\/\*)/.test(line.trim()) && worldly.test(line) && !/\bfunction fetch\s*\(/.test(line),
    )
    .map(
      ({ at, line }) =>
        `${at}: ${worldly.exec(line)?.[1]?.trim()} belongs into ${'`lib/`'}; take it from deps or options`,
    );
}

/** What is left to do stands in an issue, not in the code. */
export function leftToDo(files: Files): string[] {
  const words = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME'].join('|')})\\b`);
  return linesOf(files, (path) => /\.(ts|m?js|json|md|ya?ml)$|^\.ci\//.test(path) && path !== 'package-lock.json')
    .filter(({ line }) => words.test(line))
    .map(({ at }) => `${at}: finish it, or open an issue for it`);
}

/** A test that doesn't run proves nothing. */
export function sleepingTests(files: Files): string[] {
  return linesOf(files, (path) => path.endsWith('.test.ts'))
    .filter(({ line }) => /\b(test|it|describe|suite)\.(skip|only|todo)\(|\b(skip|only|todo): true/.test(line))
    .map(({ at }) => `${at}: this test is switched off, or switches the others off`);
}

interface Manifest {
  name: string;
  version: string;
  private?: boolean;
  license?: string;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

/** One version for all packages, and exact ones of what they depend on. */
export function versions(files: Files): string[] {
  const manifests = [...files].filter(([path]) => /(^|\/)package\.json$/.test(path));
  const wanted = (JSON.parse(files.get('package.json') ?? '{}') as Manifest).version;
  return manifests.flatMap(([path, text]) => {
    const manifest = JSON.parse(text) as Manifest;
    const faults: string[] = [];
    if (manifest.version !== wanted) faults.push(`${path}: version ${manifest.version} should be ${wanted}`);
    if (manifest.license !== 'Apache-2.0') faults.push(`${path}: license should be Apache-2.0`);
    const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
    for (const [name, range] of Object.entries(all)) {
      if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(range)) faults.push(`${path}: ${name} ${range} is not one exact version`);
      if (name.startsWith('@bailiwick/') && range !== wanted)
        faults.push(`${path}: ${name} ${range} should be ${wanted}`);
    }
    return faults;
  });
}

/** The lockfile says what, not from where; and with `npm ci` nothing gets in whose bytes aren't known. */
export function lockfile(files: Files): string[] {
  const lock = JSON.parse(files.get('package-lock.json') ?? '{}') as {
    packages?: Record<string, { link?: boolean; resolved?: string; integrity?: string; version?: string }>;
  };
  return Object.entries(lock.packages ?? {}).flatMap(([path, { link, resolved, integrity }]) => {
    if (link || !path.includes('node_modules/')) return [];
    if (resolved) return [`package-lock.json: ${path} names a registry: run "npm install" here again`];
    return integrity ? [] : [`package-lock.json: ${path} has no integrity`];
  });
}

function linesOf(files: Files, wanted: (path: string) => boolean): { at: string; line: string }[] {
  return [...files]
    .filter(([path]) => wanted(path))
    .flatMap(([path, text]) => text.split('\n').map((line, index) => ({ at: `${path}:${index + 1}`, line })));
}
