// Nodes out of names and texts. Whatever comes from a document is only ever a text node.

export type Child = Node | string | null | undefined | false;
export type Given = Record<string, string | boolean | undefined | ((event: never) => void)>;

const SVG = "http://www.w3.org/2000/svg";

/** Return the children that there are. */
export const present = (children: Child[]): (Node | string)[] => children.filter(Boolean) as (Node | string)[];

/** Return an element; `given` holds attributes, and listeners by the name of their event after "on". */
export function el<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  given: Given = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value as (event: Event) => void);
    else if (value === true) made.setAttribute(key, "");
    else if (typeof value === "string") made.setAttribute(key, value);
  }
  made.append(...present(children));
  return made;
}

/** Return a drawing of strokes in a square of 24, seen but not read out. */
export function icon(path: string): SVGElement {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("aria-hidden", "true");
  const drawn = document.createElementNS(SVG, "path");
  drawn.setAttribute("d", path);
  made.append(drawn);
  return made;
}

export const ICONS = {
  ask: "M4 4h16v12h-8l-4.5 4v-4H4zM8.5 10.5v-1M12 10.5v-1M15.5 10.5v-1",
  close: "M6 6l12 12M18 6L6 18",
  clear: "M4.5 12a7.5 7.5 0 1 0 2.3-5.4M4.5 4.5v3.5h3.5",
  send: "M12 19.5V5M5.5 11.5L12 5l6.5 6.5",
  copy: "M9 9h10.5v10.5H9zM15 9V4.5H4.5V15H9",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
  good: "M7.5 10.5V20H4v-9.5h3.5l4-7c2 0 2.5 1.5 2 3l-.5 3h6.5L18 20H7.5",
  bad: "M7.5 13.5V4H4v9.5h3.5l4 7c2 0 2.5-1.5 2-3l-.5-3h6.5L18 4H7.5",
  page: "M6.5 3.5h7l4 4v13h-11zM13.5 3.5v4h4M9.5 12h5M9.5 15.5h5",
  none: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.3 15.3L20 20M8.3 10.5h4.4",
  wrong: "M12 4.5l8.5 15h-17zM12 10v4.5M12 16.8v.2",
};

/**
 * Characters that turn the direction of what stands around them, or that nobody sees. They are left out of what is
 * shown, so that a title cannot read as another; what is copied keeps them.
 */
const UNSEEN = /[\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]/g;

/** Return a document's words as they are shown. */
export const shown = (words: string): string => words.replace(UNSEEN, "");
