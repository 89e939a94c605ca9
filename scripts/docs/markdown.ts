/** Plain text in Markdown: what looks like a tag stays text. Code between backticks is left as it is. */
export function prose(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`');
}

/** The same in the cell of a table. */
export const cell = (text: string): string => prose(text).replaceAll('|', '\\|').replaceAll('\n', ' ').trim();
