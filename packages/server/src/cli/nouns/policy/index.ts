/** `bailiwick policy …`: from a draft in a file to what decides, and back. */
import { diff, enforce, observe, remove, rollback, save } from './change.ts';
import { check } from './check.ts';
import { explain } from './explain.ts';
import { list, schema, showOne, versions } from './look.ts';
import { test } from './run-cases.ts';
import { simulate } from './simulate.ts';

export const policyCommands = [
  list,
  showOne,
  check,
  test,
  save,
  diff,
  versions,
  rollback,
  observe,
  enforce,
  remove,
  simulate,
  explain,
  schema,
];
