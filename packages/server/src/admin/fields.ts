export * from '../lib/fields.ts';
