// Highlights the place that the address names: #c=start-end, in code points of the document's text.

const pre = document.getElementById("text");
const text = pre.textContent;

/** The index in UTF-16 units of the code point numbered `wanted`. */
function unitsBefore(wanted) {
  let units = 0;
  let points = 0;
  for (const character of text) {
    if (points === wanted) break;
    units += character.length;
    points += 1;
  }
  return units;
}

function show() {
  const place = /^#c=(\d+)-(\d+)$/.exec(location.hash);
  pre.textContent = text;
  if (!place) return;
  const start = unitsBefore(Number(place[1]));
  const end = unitsBefore(Number(place[2]));
  if (end <= start) return;
  const mark = document.createElement("mark");
  mark.textContent = text.slice(start, end);
  mark.tabIndex = -1;
  pre.replaceChildren(text.slice(0, start), mark, text.slice(end));
  mark.scrollIntoView({ block: "center" });
  mark.focus({ preventScroll: true });
}

addEventListener("hashchange", show);
show();
