// The page being read: where a quotation stands on it, marked without touching its nodes.

import type { Citation } from "./wire";

const NAME = "pullquote";
let sheet: CSSStyleSheet | undefined;

/** Return whether two addresses are of the same page. */
export function samePage(one: URL): boolean {
  return one.href.split("#")[0] === location.href.split("#")[0];
}

/** Scroll to a quotation on this page and mark it; return whether it stands here. */
export function showHere(cited: Citation): boolean {
  const range = find(cited.prefix, cited.quote, cited.suffix);
  if (!range) return false;
  if (typeof Highlight === "function") {
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(`::highlight(${NAME}){background:#ffe08a;color:#1d1a14}`);
    }
    if (!document.adoptedStyleSheets.includes(sheet)) document.adoptedStyleSheets.push(sheet);
    CSS.highlights.set(NAME, new Highlight(range));
  }
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  range.startContainer.parentElement?.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
  return true;
}

/** Return the place where the words stand, whatever markup and white space lies between them. */
function find(prefix: string, quote: string, suffix: string): Range | null {
  const bare = (text: string) => text.replace(/\s+/g, "");
  const places: [Text, number][] = [];
  let page = "";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT, (node) =>
    node.parentElement?.closest("script,style,noscript,template,textarea") ? 2 : 1,
  );
  for (let node = walker.nextNode() as Text | null; node; node = walker.nextNode() as Text | null)
    for (let at = 0; at < node.data.length; at++)
      if (!/\s/.test(node.data[at]!)) {
        page += node.data[at];
        places.push([node, at]);
      }
  const wanted = bare(quote);
  if (!wanted) return null;
  const start = nearest(page, bare(prefix), wanted, bare(suffix));
  if (start < 0) return null;
  const [first, from] = places[start]!;
  const [last, to] = places[start + wanted.length - 1]!;
  const range = document.createRange();
  range.setStart(first, from);
  range.setEnd(last, to + 1);
  return range;
}

/** Return where the words begin that stand in these surroundings, or in as much of them as the page has. */
function nearest(page: string, prefix: string, wanted: string, suffix: string): number {
  for (const length of [32, 12, 0]) {
    const before = prefix.slice(Math.max(0, prefix.length - length));
    const found = page.indexOf(before + wanted + suffix.slice(0, length));
    if (found >= 0) return found + before.length;
  }
  return -1;
}

/** Return an address that a browser opens at the quotation (text fragments). */
export function atText(address: URL, quote: string): string {
  // Commas and dashes part the words of a fragment, so they are written as what they are not.
  const written = (text: string) => encodeURIComponent(text).replace(/-/g, "%2D");
  const words = quote.trim().split(/\s+/);
  const ends =
    words.length > 12 ? [words.slice(0, 5).join(" "), words.slice(-5).join(" ")] : [words.join(" ")];
  const url = new URL(address);
  url.hash = "";
  return `${url.href}#:~:text=${ends.map(written).join(",")}`;
}
