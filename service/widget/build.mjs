// Makes widget.js from src/: `npm run build`, or `node build.mjs FILE` to write elsewhere.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Style sheets are text for a constructed sheet; without this they would be shipped with their comments. */
const sheets = {
  name: "sheets",
  setup(made) {
    made.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), {
        loader: "css",
        minify: true,
        target: "chrome123",
      });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

/** The tables share their keys, so these are written once, and the words of a language as one text. */
const tables = {
  name: "tables",
  setup(made) {
    made.onLoad({ filter: /strings\.json$/ }, async ({ path }) => {
      const read = JSON.parse(await readFile(path, "utf8"));
      const keys = Object.keys(read.en);
      const rows = Object.entries(read).map(([language, table]) => {
        const words = keys.map((key) => table[key]);
        if (Object.keys(table).length !== keys.length || words.some((one) => !one || one.includes("|")))
          throw new Error(`strings.json: ${language} has not the words of en, or one of them has a |`);
        return `${language}: table(${JSON.stringify(words.join("|"))})`;
      });
      const contents = `const keys = ${JSON.stringify(keys.join("|"))}.split("|");
        const table = (words) => Object.fromEntries(words.split("|").map((one, at) => [keys[at], one]));
        export default { ${rows.join(", ")} };`;
      return { contents, loader: "js" };
    });
  },
};

await build({
  entryPoints: [here("src/index.ts")],
  outfile: process.argv[2] ?? here("widget.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  banner: { js: "/* Pullquote, Apache-2.0 */" },
  plugins: [sheets, tables],
});
