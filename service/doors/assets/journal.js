// Shows what people asked and the documents do not say. The admin key is kept in this page alone, as long as it is open.

const ADDRESS = "/v1/journal/unanswered?limit=100";
const SNIPPET = 240;
/** Characters that turn the direction of what stands around them, or that nobody sees. */
const UNSEEN = /[\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]/g;

const at = (id) => document.getElementById(id);
const shown = (text) => text.replace(UNSEEN, "");
const times = (count, one, more) => `${count.toLocaleString()} ${count === 1 ? one : more}`;

let key = "";
let groups = [];

function el(name, given, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(given)) made.setAttribute(attribute, value);
  made.append(...children.filter(Boolean));
  return made;
}

function ask(address) {
  return fetch(address, { headers: key ? { Authorization: `Bearer ${key}` } : {}, cache: "no-store" });
}

/** Show one of the page's cards, or the list. */
function show(id) {
  for (const one of ["loading", "locked", "problem", "nothing", "found"]) at(one).hidden = one !== id;
}

function tell(heading, text) {
  at("problem-heading").textContent = heading;
  at("problem-text").textContent = text;
  show("problem");
  at("problem-heading").focus();
}

async function load() {
  const tried = key;
  let reply;
  try {
    reply = await ask(ADDRESS);
  } catch {
    return tell("No connection", "The server could not be reached. Check that it runs, and load this page again.");
  }
  const said = await reply.json().catch(() => ({}));
  if (reply.status === 401) return lock(tried);
  if (reply.status === 404)
    return tell("This server keeps no journal", "Start it with PULLQUOTE_JOURNAL=true; from then on, what finds no answer is kept here.");
  if (!reply.ok) return tell("The journal cannot be shown", said.detail || reply.statusText);
  groups = said.groups;
  if (!groups.length) return show("nothing");
  const answered = groups.filter((one) => one.answered_now).length;
  const more = said.total_groups - groups.length;
  at("summary").textContent =
    `${times(said.total_questions, "question", "questions")} of ${times(said.total_groups, "kind", "kinds")}` +
    (answered ? `, ${answered.toLocaleString()} answered by now` : "") +
    (more > 0 ? `; the first ${groups.length.toLocaleString()} are shown` : "");
  show("found");
  list();
  if (tried) at("heading").focus();
}

function lock(tried) {
  key = "";
  show("locked");
  at("wrong").textContent = tried ? "That is not the key." : "";
  at("key").value = "";
  at("key").focus();
}

function list() {
  const open = at("open").checked;
  at("groups").replaceChildren(...groups.filter((one) => !open || !one.answered_now).map(group));
}

function group(one) {
  return el(
    "li",
    { class: "group" },
    el("p", { class: "count" }, one.count.toLocaleString(), el("span", {}, one.count === 1 ? "time" : "times")),
    el(
      "div",
      {},
      el("h2", { dir: "auto" }, shown(one.question)),
      el(
        "p",
        { class: "facts" },
        one.answered_now && el("span", { class: "good" }, "answered by now"),
        one.thumbs_down > 0 && el("span", {}, `${times(one.thumbs_down, "answer", "answers")} thumbed down`),
        el("span", {}, ...span(one.first_asked_at, one.last_asked_at)),
      ),
      one.wordings.length > 1 && wordings(one.wordings),
      one.passages.length > 0 && el("h3", {}, "Nearest passages"),
      one.passages.length > 0 && el("ul", { class: "places", role: "list" }, ...one.passages.map(place)),
    ),
  );
}

function span(first, last) {
  const days = [...new Set([first, last].map((one) => one.slice(0, 10)))];
  const shownDays = days.map((day) =>
    el("time", { datetime: day }, new Date(`${day}T00:00Z`).toLocaleDateString("en", { dateStyle: "medium", timeZone: "UTC" })),
  );
  return shownDays.length > 1 ? [shownDays[0], " to ", shownDays[1]] : ["on ", shownDays[0]];
}

function wordings(all) {
  return el(
    "details",
    {},
    el("summary", {}, times(all.length, "wording", "wordings")),
    el(
      "ul",
      { role: "list" },
      ...all.map((one) => el("li", {}, el("span", {}, `${one.count.toLocaleString()}×`), el("bdi", {}, shown(one.question)))),
    ),
  );
}

function place(one) {
  const title = shown(one.title || one.document_id);
  const under = one.heading_path.map(shown).filter((heading) => heading && heading !== title);
  const points = [...shown(one.text).replace(/\s+/g, " ")];
  const { pathname, hash } = new URL(one.url, location.origin);
  return el(
    "li",
    {},
    el("a", { href: pathname + hash }, el("bdi", {}, title)),
    under.length > 0 && el("span", { class: "soft", dir: "auto" }, ` › ${under.join(" › ")}`),
    el("p", { dir: "auto" }, points.slice(0, SNIPPET).join("")),
  );
}

/** A link carries no key, so with one the file is fetched and saved. */
async function save(event) {
  if (!key) return;
  event.preventDefault();
  const link = event.currentTarget;
  const reply = await ask(link.href).catch(() => null);
  if (!reply?.ok) return tell("The journal cannot be exported", reply?.statusText || "The server could not be reached.");
  const file = URL.createObjectURL(await reply.blob());
  el("a", { href: file, download: link.download }).click();
  URL.revokeObjectURL(file);
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value.trim();
  if (key) void load();
});
at("open").addEventListener("change", list);
for (const link of document.querySelectorAll("a[download]")) link.addEventListener("click", save);
void load();
