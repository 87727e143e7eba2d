// <pull-quote>: the conversation, in the page or behind a launcher.

import { answerCard, type Around, errorCard, noneCard, rewriteLine, tool } from "./cards";
import { el, icon, ICONS, shown } from "./dom";
import { filled, type Strings, TABLES, tableFor } from "./strings";
import { ask, Failure, ownAddress, rate, type Reply, type Turn } from "./wire";
import css from "./widget.css";

/** Turns that are sent along; the server reads the last ones. */
const REMEMBERED = 20;

const RIGHT_TO_LEFT = /^(ar|fa|he|ur)\b/;

/** Where there is no browser, as in a build or on a server, the module is imported for nothing. */
const Base = globalThis.HTMLElement ?? (class {} as typeof HTMLElement);

let sheet: CSSStyleSheet | undefined;

export class PullQuote extends Base {
  static observedAttributes = ["lang", "dir", "heading", "placeholder", "suggestions", "launcher"];

  /** The tables of words by language: add one, or change what is there. */
  static strings = TABLES;

  #root: ShadowRoot | undefined;
  #log!: HTMLElement;
  #intro!: HTMLElement;
  #scroll!: HTMLElement;
  #status!: HTMLElement;
  #field!: HTMLTextAreaElement;
  #dialog: HTMLDialogElement | null = null;
  #launcher: HTMLButtonElement | null = null;
  #own: Partial<Strings> = {};
  #history: Turn[] = [];
  #asking: AbortController | null = null;
  #connected: AbortController | null = null;
  #before: HTMLElement | null = null;
  #rated = true;
  #addresses = new Map<string, Promise<URL | null>>();

  connectedCallback(): void {
    this.#connected = new AbortController();
    document.addEventListener("keydown", this.#shortcut, { signal: this.#connected.signal });
    if (!this.#root) {
      this.#root = this.attachShadow({ mode: "open", delegatesFocus: true });
      this.#frame();
    }
  }

  disconnectedCallback(): void {
    this.#connected?.abort();
    this.#asking?.abort();
  }

  attributeChangedCallback(): void {
    if (this.#root) this.#frame();
  }

  /** Words that take the place of the language's own. */
  get strings(): Strings {
    const tagged = this.closest<HTMLElement>("[lang]");
    return { ...tableFor(tagged?.lang || "en"), ...this.#own };
  }

  set strings(words: Partial<Strings>) {
    this.#own = words;
    if (this.#root) this.#frame();
  }

  /** Open the dialog of a launcher; put the cursor where the question goes. */
  open(): void {
    const dialog = this.#dialog;
    if (dialog && !dialog.open) {
      this.#before = document.activeElement as HTMLElement | null;
      // Over the whole screen nothing else can be reached; beside the page it stays in use.
      if (matchMedia("(max-width: 480px), (max-height: 480px)").matches) dialog.showModal();
      else dialog.show();
      this.#launcher!.ariaExpanded = "true";
    }
    this.#field?.focus();
  }

  /** Close the dialog of a launcher; the focus goes back to where it was. */
  close(): void {
    if (!this.#dialog?.open) return;
    this.#dialog.close();
    // Keys that are pressed before the browser has moved the focus are not typed into what is closed.
    this.#field?.blur();
  }

  /** Forget the conversation. */
  reset(): void {
    this.#asking?.abort();
    this.#history = [];
    this.#log?.replaceChildren();
    if (this.#intro) this.#intro.hidden = false;
    this.#say("");
  }

  /** Ask a question and show what the documents say; the promise is kept when that is shown. */
  async ask(question: string): Promise<void> {
    await this.#ask(question.trim(), this.#history);
  }

  // ------------------------------------------------------------------ asking

  get #server(): string {
    return new URL(this.getAttribute("src") || new URL(import.meta.url).origin, document.baseURI).href.replace(/\/+$/, "");
  }

  /** The publishable key that goes along, if the page has one. */
  get #pass(): string | null {
    return this.getAttribute("key");
  }

  async #ask(question: string, history: Turn[]): Promise<void> {
    if (!question || !this.#root || !this.#tell("ask", { question })) return;
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    const words = this.strings;
    const wait = el(
      "div",
      { class: "wait" },
      el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i")),
    );
    const step = wait.appendChild(el("span", { dir: "auto" }, words.searching));
    const card = el("div", { "aria-busy": "true" }, wait);
    const you = el(
      "div",
      { class: "asked-by-you", part: "question", dir: "auto" },
      el("span", { class: "unseen" }, `${words.you}: `),
      question,
    );
    this.#intro.hidden = true;
    this.#log.append(you, card);
    this.#show(you);
    this.#say(words.searching);
    asking.signal.addEventListener("abort", () => card.ariaBusy && card.remove());
    const around = this.#around(question, history);
    // The conversation has the question from here on, for one that is asked before this has its answer.
    const asked: Turn[] = [...history, { role: "user", content: question }];
    let kept = (this.#history = asked);
    const keep = (said = ""): void => {
      // Nothing breaks off what is answered: it goes on beside what is asked next.
      if (this.#asking === asking) this.#asking = null;
      // What the widget says where nothing was found is no source: an empty turn tells the server that there was none.
      const turns: Turn[] = [...asked, { role: "assistant", content: said.slice(0, 20_000) }];
      if (this.#history === kept) this.#history = kept = turns;
    };
    try {
      let passages: Reply["passages"] = [];
      const stages = {
        passages: (found: Reply["passages"]) => {
          passages = found;
          const best = found[0];
          if (best) step.textContent = filled(words.reading, shown(best.heading_path.at(-1) || best.title));
        },
        answer: (given: NonNullable<Reply["answer"]>) => {
          keep(given.text);
          card.replaceChildren(answerCard(given, passages, { ...around, rated: false }));
        },
      };
      const reply = await ask(this.#server, this.#pass, question, history.slice(-REMEMBERED), stages, asking.signal);
      if (!card.parentNode) return;
      keep(reply.answer?.text);
      this.#settle(card, question, reply, history, around);
    } catch (error) {
      if (!card.parentNode) return;
      if (this.#history === kept) this.#history = history;
      const failure = error instanceof Failure ? error : new Failure("server", 0, String(error));
      card.ariaBusy = null;
      const { kind, status, message } = failure;
      if (!this.#tell("error", { question, kind, status, message })) return card.remove();
      card.replaceChildren(errorCard(failure, { ...around, retry: () => this.#retry(you, card, question, history) }));
      this.#finish(card, words[kind]);
    }
  }

  #settle(card: HTMLElement, question: string, reply: Reply, history: Turn[], around: Around): void {
    card.ariaBusy = null;
    const { answer, query } = reply;
    if (!this.#tell("answer", { question, reply })) return card.remove();
    const undoable = history.length > 0 && query.rewrites.some((one) => one.kind === "follow-up");
    const line = rewriteLine(reply, undoable, around);
    const shownCard = answer ? answerCard(answer, reply.passages, around) : noneCard(reply, around);
    if (line) shownCard.prepend(line);
    card.replaceChildren(shownCard);
    this.#finish(card, answer ? filled(around.strings.answered, shown(answer.text)) : around.strings.none);
  }

  /** Announce a finished card and bring it to the top, unless something else was asked meanwhile. */
  #finish(card: HTMLElement, text: string): void {
    if (card !== this.#log.lastChild) return;
    this.#say(text);
    this.#show(card.previousElementSibling!);
  }

  #retry(you: HTMLElement, card: HTMLElement, question: string, history: Turn[]): void {
    you.remove();
    card.remove();
    this.#field.focus();
    void this.#ask(question, history);
  }

  #around(question: string, history: Turn[]): Around {
    const server = this.#server;
    return {
      strings: this.strings,
      server,
      rated: this.#rated,
      say: (text) => this.#say(text),
      again: (asked) => {
        this.#field.focus();
        void this.#ask(asked, []);
      },
      retry: () => void this.#ask(question, history),
      step: () => {
        if (this.#dialog?.matches(":modal")) this.close();
      },
      rate: (given, good) => void this.#rate(server, { question, ...given, good }),
      ownAddress: (id) => {
        const known = this.#addresses.get(id) ?? ownAddress(server, this.#pass, id);
        this.#addresses.set(id, known);
        return known;
      },
    };
  }

  async #rate(server: string, rating: object): Promise<void> {
    if ((await rate(server, this.#pass, rating).catch(() => 0)) !== 404) return;
    // A server without a place for them is not asked again, and nobody is asked for nothing.
    this.#rated = false;
    for (const one of this.#root!.querySelectorAll("[data-thumb]")) one.remove();
  }

  // ------------------------------------------------------------------ the frame

  /** Make everything but the conversation anew. */
  #frame(): void {
    const root = this.#root!;
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
    }
    root.adoptedStyleSheets = [sheet];
    const words = this.strings;
    const floating = this.hasAttribute("launcher");
    const wasOpen = this.#dialog?.open;
    const title = this.getAttribute("heading") || words.title;
    const placeholder = this.getAttribute("placeholder") || words.placeholder;
    this.#log ??= el("div", { class: "log", role: "log", "aria-live": "off", part: "log" });
    this.#log.ariaLabel = title;
    this.#status = el("div", { class: "unseen", role: "status" });
    this.#intro = this.#welcome(words);
    this.#intro.hidden = this.#log.childElementCount > 0;
    this.#scroll = el(
      "div",
      { class: "scroll", tabindex: "0", role: "group", "aria-label": title },
      this.#intro,
      this.#log,
    );
    this.#field = el("textarea", {
      rows: "1",
      part: "input",
      "aria-label": placeholder,
      placeholder,
      enterkeyhint: "send",
      onkeydown: this.#key,
    });
    const inside = [
      el(
        "header",
        { part: "header" },
        el("h2", { part: "title" }, title),
        tool("clear", words.clear, () => {
          this.reset();
          this.#field.focus();
        }),
        floating && tool("close", words.close, () => this.close()),
      ),
      this.#scroll,
      el(
        "form",
        { part: "form", onsubmit: this.#submit },
        this.#field,
        el(
          "button",
          { class: "send", part: "send", type: "submit", "aria-label": words.send, title: words.send },
          icon(ICONS.send),
        ),
      ),
      this.#status,
    ];
    const wrapper = el("div", { class: "root", dir: this.#direction });
    if (floating) {
      const keys = this.hasAttribute("no-shortcuts") ? undefined : "Control+K Meta+K /";
      this.#launcher = el(
        "button",
        {
          class: "launcher",
          part: "launcher",
          type: "button",
          "aria-haspopup": "dialog",
          "aria-expanded": "false",
          "aria-keyshortcuts": keys,
          onclick: () => this.open(),
        },
        icon(ICONS.ask),
        title,
      );
      this.#dialog = el(
        "dialog",
        { class: "panel", part: "panel", "aria-label": title, onclose: this.#closed },
        ...inside,
      );
      wrapper.append(this.#launcher, this.#dialog);
    } else {
      this.#launcher = this.#dialog = null;
      wrapper.append(el("section", { class: "panel inline", part: "panel", "aria-label": title }, ...inside));
    }
    root.replaceChildren(wrapper);
    if (wasOpen) this.open();
  }

  #welcome(words: Strings): HTMLElement {
    const asked = (this.getAttribute("suggestions") || "").split("|").map((one) => one.trim());
    const offered = asked.filter(Boolean).map((one) =>
      el(
        "li",
        {},
        el(
          "button",
          {
            class: "suggestion",
            part: "suggestion",
            type: "button",
            dir: "auto",
            onclick: () => {
              this.#field.focus();
              void this.ask(one);
            },
          },
          one,
        ),
      ),
    );
    return el(
      "div",
      {},
      el("p", { class: "welcome", part: "welcome" }, words.welcome),
      offered.length > 0 &&
        el("ul", { class: "suggestions", role: "list", "aria-label": words.suggestions }, ...offered),
    );
  }

  get #direction(): string {
    if (this.dir) return this.dir;
    return RIGHT_TO_LEFT.test(this.lang) ? "rtl" : getComputedStyle(this).direction;
  }

  // ------------------------------------------------------------------ keys

  #submit = (event: Event): void => {
    event.preventDefault();
    const question = this.#field.value;
    if (!question.trim()) return;
    this.#field.value = "";
    void this.ask(question);
  };

  #key = (event: KeyboardEvent): void => {
    // While an input method composes, Enter takes a word; some browsers say so by the code 229 alone.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    this.#submit(event);
  };

  #closed = (): void => {
    this.#launcher!.ariaExpanded = "false";
    const before = this.#before;
    const back = before?.isConnected && before !== document.body && before !== this ? before : this.#launcher!;
    // A part of the page that was clicked meanwhile keeps the focus.
    if ([this, document.body, null].includes(document.activeElement as HTMLElement | null)) back.focus();
  };

  #shortcut = (event: KeyboardEvent): void => {
    if (this.#dialog?.open && event.key === "Escape" && !event.defaultPrevented && !event.isComposing)
      return this.close();
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const wanted =
      (event.key === "/" && plain) ||
      (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey);
    if (!wanted || event.defaultPrevented || event.isComposing || this.hasAttribute("no-shortcuts")) return;
    const at = event.composedPath()[0];
    if (at instanceof HTMLElement && (at.isContentEditable || at.matches("input, textarea, select"))) return;
    event.preventDefault();
    this.open();
  };

  // ------------------------------------------------------------------ saying

  #say(text: string): void {
    if (this.#status) this.#status.textContent = text;
  }

  /** Bring a turn to the top of what is seen, without moving the page around the widget. */
  #show(turn: Element): void {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const by = turn.getBoundingClientRect().top - this.#scroll.getBoundingClientRect().top - 16;
    this.#scroll.scrollBy({ top: by, behavior: calm ? "auto" : "smooth" });
  }

  #tell(name: string, detail: object): boolean {
    return this.dispatchEvent(
      new CustomEvent(`pullquote-${name}`, { detail, bubbles: true, composed: true, cancelable: true }),
    );
  }
}
