/**
 * Fills code blocks from files. A block behind `<!-- from examples/quickstart/api.ts -->` becomes that file; behind
 * `<!-- from examples/quickstart/api.ts#guard -->` the part between `// #region guard` and `// #endregion`.
 * @throws Error that names the page, when a file or a region is gone
 */
export function withSnippets(text: string, page: string, read: (file: string) => string | undefined): string {
  return text.replace(
    /(<!-- from (?<source>\S+) -->\n+(?<fence>`{3,})(?<language>\w*)\n)[\s\S]*?(\n?\k<fence>(?=\n|$))/g,
    (...match) => {
      const { source, fence, language } = match.at(-1) as Record<'source' | 'fence' | 'language', string>;
      return `<!-- from ${source} -->\n${fence}${language}\n${snippet(source, page, read)}\n${fence}`;
    },
  );
}

function snippet(source: string, page: string, read: (file: string) => string | undefined): string {
  const [file = '', region] = source.split('#');
  const text = read(file);
  if (text === undefined) throw new Error(`${page} takes a snippet from ${file}, which isn't there`);
  if (region === undefined) return withoutRegions(text.trimEnd());
  const lines = text.split('\n');
  const start = lines.findIndex((line) => line.trim().replace(/^#\s*#/, '// #') === `// #region ${region}`);
  const end = lines.findIndex((line, index) => index > start && /^(\/\/|#) #endregion/.test(line.trim()));
  if (start === -1 || end === -1) throw new Error(`${page} takes region ${region} from ${file}, which isn't there`);
  const part = lines.slice(start + 1, end);
  const indent = Math.min(
    ...part.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length),
  );
  return part
    .map((line) => line.slice(indent))
    .join('\n')
    .trim();
}

function withoutRegions(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/^(\/\/|#) #(end)?region/.test(line.trim()))
    .join('\n');
}
