// Fills the start page with what this server has: its documents and its own address.

const list = document.getElementById("documents");
const shown = 8;

function line(link, note) {
  const item = document.createElement("li");
  const more = document.createElement("span");
  more.textContent = note;
  item.append(link, more);
  return item;
}

async function fill() {
  const reply = await fetch("/v1/documents?limit=100");
  if (!reply.ok) throw new Error(reply.statusText);
  const { documents, next_cursor: next } = await reply.json();
  const read = documents.filter((one) => !one.problem);
  const items = read.slice(0, shown).map((one) => {
    const link = document.createElement("a");
    link.href = `/documents/${one.id.split("/").map(encodeURIComponent).join("/")}`;
    const title = document.createElement("bdi");
    title.textContent = one.title || one.id;
    link.append(title);
    return line(link, `${one.id}, ${one.passages} ${one.passages === 1 ? "passage" : "passages"}`);
  });
  if (read.length > shown || next)
    items.push(line("", `and ${next ? "many" : read.length - shown} more`));
  if (!items.length) items.push(line("", "none yet: put files into the folder of documents"));
  list.replaceChildren(...items);
}

const command = document.getElementById("curl");
command.textContent = command.textContent.replace("http://localhost:8000", location.origin);
fill().catch(() => list.replaceChildren(line("", "cannot be listed at the moment")));
