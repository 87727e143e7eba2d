// What the server says, and how it is asked: docs/openapi.json, in the parts that are shown.

export interface Place {
  document_id: string;
  title: string;
  heading_path: string[];
  passage_id: string;
  url: string;
  start_char: number;
  end_char: number;
}

export interface Citation extends Place {
  quote: string;
  prefix: string;
  suffix: string;
  page: number | null;
  role: "answer" | "row_label" | "column_header";
}

export interface Passage extends Place {
  text: string;
}

export interface Answer {
  text: string;
  kind: string;
  confidence: number;
  citations: Citation[];
}

export interface Reply {
  status: "answered" | "not_found";
  reason: string | null;
  answer: Answer | null;
  passages: Passage[];
  query: { asked: string; used: string; rewrites: { kind: string; from: string; to: string }[] };
}

export interface Turn {
  role: "user" | "assistant";
  content: string;
}

export type Kind = "offline" | "busy" | "server" | "refused" | "denied";

/** Why there is no reply. */
export class Failure extends Error {
  constructor(
    readonly kind: Kind,
    readonly status = 0,
    message = "",
    /** Seconds that the server asks to wait; 0 where it does not say. */
    readonly wait = 0,
  ) {
    super(message);
  }
}

export interface Stages {
  passages(found: Passage[]): void;
  answer(given: Answer): void;
}

/** Return the reply to a question, telling its stages as they come. Throws Failure, or AbortError. */
export async function ask(
  server: string,
  key: string | null,
  question: string,
  history: Turn[],
  stages: Stages,
  signal: AbortSignal,
): Promise<Reply> {
  try {
    const reply = await post(`${server}/v1/ask`, key, { question, history }, signal);
    if (!reply.ok) throw await refusal(reply);
    if (!reply.headers.get("content-type")?.startsWith("text/event-stream")) return checked(await reply.json());
    return checked(await streamed(reply, stages));
  } catch (error) {
    if (error instanceof Failure || signal.aborted) throw error;
    // fetch and the body's reader say TypeError where nothing comes through; JSON that breaks off is the server's.
    throw new Failure(error instanceof SyntaxError ? "server" : "offline");
  }
}

/** Send a thumb; return the status that came back. */
export async function rate(server: string, key: string | null, rating: object): Promise<number> {
  const reply = await post(`${server}/v1/feedback`, key, rating);
  return reply.status;
}

/** Return the address that a document gives itself in its front matter (`url` or `source`), if it is on the web. */
export async function ownAddress(server: string, key: string | null, id: string): Promise<URL | null> {
  const path = id.split("/").map(encodeURIComponent).join("/");
  const reply = await fetch(`${server}/v1/documents/${path}`, { headers: keyed(key), credentials: "omit" });
  const fields = reply.ok ? (await reply.json()).fields : null;
  return webAddress(fields?.url?.[0] ?? fields?.source?.[0]);
}

/** Return an address that may be linked to: http or https, nothing else. */
export function webAddress(address: unknown, base?: string): URL | null {
  try {
    const url = new URL(String(address), base);
    return /^https?:$/.test(url.protocol) ? url : null;
  } catch {
    return null;
  }
}

/** Return the field that a publishable key is sent in; without one nothing is. */
const keyed = (key: string | null): Record<string, string> => (key ? { "X-API-Key": key } : {});

function post(address: string, key: string | null, body: object, signal?: AbortSignal): Promise<Response> {
  return fetch(address, {
    method: "POST",
    headers: { ...keyed(key), "Content-Type": "application/json", Accept: "text/event-stream, application/json;q=0.9" },
    body: JSON.stringify(body),
    signal,
    credentials: "omit",
  });
}

async function refusal(reply: Response): Promise<Failure> {
  const wait = Number(reply.headers.get("retry-after")) || 0;
  const status = reply.status;
  const kind = status === 429 ? "busy" : status >= 500 ? "server" : status === 401 || status === 403 ? "denied" : "refused";
  const problem = await reply.json().catch(() => null);
  return new Failure(kind, status, typeof problem?.detail === "string" ? problem.detail : "", wait);
}

function checked(reply: Reply | null): Reply {
  if (!reply || (reply.status !== "not_found" && !reply.answer) || !reply.passages) throw new Failure("server");
  return reply;
}

async function streamed(reply: Response, stages: Stages): Promise<Reply | null> {
  const reader = reply.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return null;
    const events = (rest + value).replace(/\r\n?/g, "\n").split("\n\n");
    rest = events.pop()!;
    for (const event of events) {
      const name = /^event: ?(.*)$/m.exec(event)?.[1];
      const data = [...event.matchAll(/^data: ?(.*)$/gm)].map((line) => line[1]).join("\n");
      if (!name || !data) continue;
      const said = JSON.parse(data);
      if (name === "passages") stages.passages(said.passages);
      else if (name === "answer") {
        if (said.answer) stages.answer(said.answer);
      } else if (name === "done") {
        void reader.cancel();
        return said;
      } else if (name === "error") throw new Failure("server", said.status, said.detail);
    }
  }
}
