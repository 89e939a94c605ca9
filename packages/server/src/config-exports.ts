/** Settings of what leaves the log. */
import { z } from 'zod';
import { about } from './config-values.ts';

export const exportSettings = z
  .strictObject({
    directory: z
      .string()
      .min(1)
      .optional()
      .meta(
        about({
          description:
            'The folder under which exporters may write files, each in a folder of its own. It must be there, and better not on the disk of the data: what fills it would stop the server. Whoever may register exporters chooses no other place. With several nodes, one that all of them see.',
          expects: 'a folder',
          example: '/var/log/bailiwick',
          computed: 'exporters write no files',
        }),
      ),
  })
  .prefault({});
