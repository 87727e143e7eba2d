// Puts the `openai` package's calls to a server and prints what came of them, as JSON: node ask.mjs ADDRESS QUESTION...

import OpenAI from "openai";

const [address, ...questions] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${address}/v1`, apiKey: "none", maxRetries: 0 });
const model = "pullquote";

async function asked(question) {
  const messages = [{ role: "user", content: question }];
  const chat = await client.chat.completions.create({ model, messages });
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  }))
    chunks.push(chunk);
  const response = await client.responses.create({ model, input: question });
  const events = [];
  const stream = client.responses.stream({ model, input: question });
  for await (const event of stream) events.push(event.type);
  const last = await stream.finalResponse();
  return {
    chat: chat.choices[0].message,
    status: chat.pullquote.status,
    chunks: {
      roles: chunks.flatMap((one) => one.choices.map((choice) => choice.delta.role).filter(Boolean)),
      text: chunks.map((one) => one.choices[0]?.delta.content ?? "").join(""),
      finish: chunks.at(-2).choices[0].finish_reason,
      tokens: chunks.at(-1).usage.total_tokens,
    },
    response: { text: response.output_text, annotations: response.output[0].content[0].annotations },
    events: [...new Set(events)],
    last: { text: last.output_text, annotations: last.output[0].content[0].annotations },
  };
}

async function refused(call) {
  try {
    await call();
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
  return null;
}

/** Leave a stream behind after its first chunk. */
async function left() {
  const messages = [{ role: "user", content: questions[0] }];
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  for await (const chunk of stream) return chunk.choices[0].delta.role;
}

const answers = {};
for (const question of questions) answers[question] = await asked(question);
const texts = ["a zebra", "a quagga"];
const packed = await client.embeddings.create({ model, input: texts });
const plain = await client.embeddings.create({ model, input: texts, encoding_format: "float" });
const models = [];
for await (const one of client.models.list()) models.push(one.id);
console.log(
  JSON.stringify({
    answers,
    left: await left(),
    embeddings: [packed, plain].map((one) => one.data.map((vector) => vector.embedding)),
    models: [...models, (await client.models.retrieve(model)).id],
    refused: [
      await refused(() => client.models.retrieve("other")),
      await refused(() => client.chat.completions.create({ model, messages: [{ role: "user", content: "x" }], n: 2 })),
      await refused(() => client.responses.create({ model, input: "x", tools: [{ type: "web_search" }] })),
    ],
  }),
);
