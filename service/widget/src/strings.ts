// What the widget says, in the languages that come with it. A page may replace any of it.

import tables from "./strings.json";

export type Strings = typeof tables.en;

/** The tables by language; add to it, or replace one, before the widget is used. */
export const TABLES: Record<string, Partial<Strings>> = tables;

/** Return the table for a language tag, English where a word or the whole language is missing. */
export const tableFor = (tag: string): Strings => ({ ...tables.en, ...TABLES[tag.split("-")[0]!], ...TABLES[tag] });

/** Return a text with its gap filled. */
export const filled = (text: string, value: string): string => text.replace("{0}", () => value);
