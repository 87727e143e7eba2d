// What is shown for a reply: an answer in its passage, that there is none, or what went wrong.

import { el, icon, ICONS, present, shown, type Child } from "./dom";
import { atText, samePage, showHere } from "./place";
import { filled, type Strings } from "./strings";
import { type Answer, type Citation, type Failure, type Passage, type Place, type Reply, webAddress } from "./wire";

/** What the cards need of the widget around them. */
export interface Around {
  strings: Strings;
  server: string;
  /** Whether thumbs are asked for. */
  rated: boolean;
  say(text: string): void;
  again(question: string): void;
  retry(): void;
  /** The page's part is to be seen: on small screens the dialog lies over it. */
  step(): void;
  rate(given: { answer: string; passage_id: string }, good: boolean): void;
  ownAddress(id: string): Promise<URL | null>;
}

/** Code points of a passage on each side of the answer, before the rest is asked for. */
const AROUND = 150;

/** A quotation longer than this is set smaller. */
const LONG = 90;

/** Return the card of an answer. */
export function answerCard(answer: Answer, passages: Passage[], around: Around): HTMLElement {
  const cited = answer.citations.filter((one) => one.role === "answer");
  const main = cited[0] ?? answer.citations[0];
  if (!main) return el("div");
  const labels = answer.citations.filter((one) => one.role !== "answer" && shown(one.quote).trim());
  const first = passages.find((one) => one.passage_id === main.passage_id);
  return el(
    "article",
    { class: "card", part: "answer" },
    el(
      "blockquote",
      { part: "quote" },
      labels.length > 0 &&
        el("p", { class: "labels", dir: "auto" }, labels.map((one) => shown(one.quote)).join(" · ")),
      el("p", { class: answer.text.length > LONG ? "quote long" : "quote", dir: "auto" }, shown(answer.text)),
    ),
    inPassage(main, answer.citations, first, around),
    ...sources(cited.length ? cited : [main], around),
    actions(answer, main, around),
    others(
      passages.filter((one) => one.passage_id !== main.passage_id),
      around,
    ),
  );
}

/** Return the card that says that the documents hold no answer. */
export function noneCard(reply: Reply, around: Around): HTMLElement {
  const words = around.strings;
  const why = { not_a_question: words.noneAsk, empty_index: words.noneEmpty }[reply.reason ?? ""] ?? words.noneWhy;
  return el(
    "article",
    { class: "card none", part: "not-found" },
    el("h3", {}, icon(ICONS.none), words.none),
    el("p", { class: "soft" }, why),
    reply.passages.length > 0 && el("h4", {}, words.nearest),
    places(reply.passages.slice(0, 3), around),
  );
}

/** Return the card of what went wrong. */
export function errorCard(failure: Failure, around: Around): HTMLElement {
  const words = around.strings;
  const why =
    failure.kind === "refused" ? failure.message : filled(words[`${failure.kind}Why`], String(failure.wait || 10));
  return el(
    "article",
    { class: "card error", part: "error" },
    el("h3", {}, icon(ICONS.wrong), words[failure.kind]),
    el("p", {}, why),
    el("button", { class: "retry", type: "button", part: "button", onclick: around.retry }, words.retry),
  );
}

/** Return how the question was asked, where that is not as it was written. */
export function rewriteLine(reply: Reply, undoable: boolean, around: Around): HTMLElement | false {
  const { rewrites, used, asked } = reply.query;
  if (!rewrites.length || used === asked) return false;
  return el(
    "p",
    { class: "rewrite", part: "rewrite" },
    `${around.strings.asked} `,
    el("q", { dir: "auto" }, shown(used)),
    " ",
    undoable &&
      el("button", { class: "text-button", type: "button", onclick: () => around.again(asked) }, around.strings.undo),
  );
}

/** Return the passage with every cited place in it marked; its far ends are shown on demand. */
function inPassage(main: Citation, cited: Citation[], passage: Passage | undefined, around: Around): HTMLElement {
  const whole = passage ?? { text: main.prefix + main.quote + main.suffix, start_char: main.start_char - [...main.prefix].length };
  // Places count code points, JavaScript's strings do not.
  const points = [...whole.text];
  const marks = cited
    .filter((one) => one.document_id === main.document_id)
    .map((one): [number, number, string] => [
      one.start_char - whole.start_char,
      one.end_char - whole.start_char,
      one.role === "answer" ? "" : "label",
    ])
    .filter(([start, end]) => start >= 0 && end <= points.length && start < end)
    .sort((one, other) => one[0] - other[0]);
  const answer = main.start_char - whole.start_char;
  const from = wordEdge(points, answer - AROUND, -1);
  const to = wordEdge(points, main.end_char - whole.start_char + AROUND, 1);
  const text = el("p", { class: "passage", part: "passage", dir: "auto" });
  const fill = (start: number, end: number): void => {
    const parts: Child[] = [start > 0 && "… "];
    let at = start;
    for (const [first, last, name] of marks) {
      if (first < at || last > end) continue;
      parts.push(
        shown(points.slice(at, first).join("")),
        el("mark", { part: "mark", class: name }, shown(points.slice(first, last).join(""))),
      );
      at = last;
    }
    text.replaceChildren(...present([...parts, shown(points.slice(at, end).join("")), end < points.length && " …"]));
  };
  fill(from, to);
  if (from === 0 && to === points.length) return text;
  const more = el("button", { class: "text-button", type: "button", "aria-expanded": "false" }, around.strings.whole);
  more.onclick = () => {
    const opened = more.ariaExpanded !== "true";
    more.ariaExpanded = String(opened);
    fill(opened ? 0 : from, opened ? points.length : to);
  };
  return el("div", {}, text, more);
}

/** Return where a passage may be cut without cutting a word. */
function wordEdge(points: string[], wanted: number, step: 1 | -1): number {
  let at = wanted;
  while (at > 0 && at < points.length && !/\s/.test(points[at]!)) at += step;
  return Math.max(0, Math.min(points.length, at));
}

/** Return a line for each place that the answer was taken from, one a passage. */
function sources(cited: Citation[], around: Around): HTMLElement[] {
  const once = new Map(cited.map((one) => [one.passage_id, one] as const).reverse());
  return [...once.values()]
    .reverse()
    .map((one) => el("div", { class: "source", part: "source" }, icon(ICONS.page), el("div", {}, ...linked(one, one, around))));
}

/** Return the link to a place and the headings it stands under. */
function linked(place: Place, cited: Citation | null, around: Around): Child[] {
  const words = around.strings;
  const url = webAddress(place.url, `${around.server}/`);
  const title = shown(place.title || place.document_id);
  const headings = place.heading_path.map(shown).filter((one) => one && one !== title);
  if (cited?.page) headings.push(filled(words.page, String(cited.page)));
  const under = headings.length > 0 && el("span", { class: "path", dir: "auto" }, headings.join(" › "));
  if (!url) return [el("bdi", {}, title), under];
  const note = el("span", { class: "unseen" });
  const link = el("a", { part: "link", rel: "noopener" }, el("bdi", {}, title), note);
  let target = url;
  const lead = (address: URL, href: string): void => {
    target = address;
    link.href = href;
    const here = samePage(address);
    if (here) link.removeAttribute("target");
    else link.target = "_blank";
    note.textContent = ` (${here ? words.here : words.newTab})`;
  };
  lead(url, url.href);
  link.onclick = (event) => {
    if (!samePage(target) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    around.step();
    // The server's own page marks what its address names, also when it names the same place again.
    if (target.hash.startsWith("#c=")) {
      if (location.hash === target.hash) dispatchEvent(new HashChangeEvent("hashchange"));
      else location.hash = target.hash;
    } else if (!cited || !showHere(cited)) location.href = link.href;
  };
  if (cited)
    void around.ownAddress(place.document_id).then(
      (own) => own && lead(own, atText(own, cited.quote)),
      () => {},
    );
  return [link, under];
}

function places(passages: Place[], around: Around): HTMLElement | false {
  return (
    passages.length > 0 &&
    el("ul", { class: "places", role: "list" }, ...passages.map((one) => el("li", {}, ...linked(one, null, around))))
  );
}

function others(passages: Passage[], around: Around): HTMLElement | false {
  return (
    passages.length > 0 && el("details", {}, el("summary", {}, around.strings.more), places(passages, around))
  );
}

function actions(answer: Answer, main: Citation, around: Around): HTMLElement {
  const words = around.strings;
  const url = () => webAddress(main.url, `${around.server}/`)?.href ?? "";
  const gap = el("span", { class: "gap" });
  const copy = (button: HTMLElement, text: string): void => {
    const say = (done: boolean): void => around.say((gap.textContent = done ? words.copied : words.notCopied));
    // Pages on plain http have no clipboard of their own: there the words are selected and copied as by hand.
    void (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(
      () => say(true),
      () => {
        const field = bar.appendChild(el("textarea", { class: "unseen" }));
        field.value = text;
        field.select();
        say(document.execCommand("copy"));
        field.remove();
        button.focus();
      },
    );
  };
  const source = [main.title, ...main.heading_path.filter((one) => one !== main.title)].join(" › ");
  const bar = el(
    "div",
    { class: "actions", part: "actions" },
    tool("copy", words.copyQuote, (button) => copy(button, `“${answer.text}”\n— ${source}\n${url()}`)),
    tool("link", words.copyLink, (button) => copy(button, url())),
    gap,
  );
  if (around.rated) {
    const thumbs = (["good", "bad"] as const).map((which) =>
      tool(which, words[which], (button) => {
        for (const one of thumbs) one.ariaPressed = String(one === button);
        around.rate({ answer: answer.text, passage_id: main.passage_id }, which === "good");
      }),
    );
    for (const one of thumbs) {
      one.ariaPressed = "false";
      one.dataset.thumb = "";
    }
    bar.append(...thumbs);
  }
  return bar;
}

/** Return a button that is a drawing with a name. */
export function tool(
  drawing: keyof typeof ICONS,
  name: string,
  onclick: (button: HTMLButtonElement) => void,
): HTMLButtonElement {
  const made: HTMLButtonElement = el(
    "button",
    { class: "tool", type: "button", part: "button", "aria-label": name, title: name, onclick: () => onclick(made) },
    icon(ICONS[drawing]),
  );
  return made;
}
