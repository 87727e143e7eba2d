// The module that a page loads: names the element, and puts a launcher where the page places none itself.

import { PullQuote } from "./element";

/** Return the script that a page loads this with; its data attributes become the launcher's. */
const script = (): HTMLScriptElement | undefined =>
  [...document.scripts].find((one) => one.src === import.meta.url);

if (globalThis.customElements && !customElements.get("pull-quote")) {
  customElements.define("pull-quote", PullQuote);
  const loaded = script();
  if (loaded && !("manual" in loaded.dataset) && !document.querySelector("pull-quote")) {
    const made = document.createElement("pull-quote");
    for (const [name, value] of Object.entries(loaded.dataset))
      made.setAttribute(name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`), value ?? "");
    made.setAttribute("launcher", "");
    document.body.append(made);
  }
}

export { PullQuote };
