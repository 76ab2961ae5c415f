// The official OpenAI and Anthropic SDKs for Node, unchanged, over providers that speak other dialects. Run by the
// end-to-end suite.
//
// Prints one JSON line a test: {"test": name, "ok": bool, "detail": text}. The environment says where the gateway is
// (LOCKGATE_URL) and which gateway key to use (LOCKGATE_API_KEY). A test's name is `<surface>_<provider>_<scenario>`; the
// providers are mocks that refuse what the real ones would.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const GATEWAY = process.env.LOCKGATE_URL;
const apiKey = process.env.LOCKGATE_API_KEY;
const TEXT = "Hello from the mock provider.";
// As text: a number of JavaScript does not hold the integer.
const ARGUMENTS = '{"city":"Zürich","n":9007199254740993,"x":0.1}';
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string", description: "Where." }, n: { type: "integer" }, x: { type: "number" } },
  required: ["city", "n", "x"],
  additionalProperties: false,
};
const ANSWER = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const SIGHT = '{"sky": "blue"}';
const FAILURES = ["mock-error-mid-3", "mock-break-3", "mock-cut-3"];
const openai = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey, maxRetries: 0, timeout: 60_000 });
const anthropic = new Anthropic({ baseURL: GATEWAY, apiKey, maxRetries: 0, timeout: 60_000 });

/** The call throws exactly this class, with this status. */
async function thrown(kind, status, call) {
  let error;
  try {
    await call();
  } catch (caught) {
    error = caught;
  }
  assert.ok(error, "nothing was thrown");
  assert.equal(error.constructor.name, kind.name, String(error));
  assert.equal(error.status, status);
  return error;
}

/** Chat completions with the OpenAI SDK. */
function chat(provider) {
  const tools = ["get_weather", "get_time"].map((name) => ({ type: "function", function: { name, parameters: PARAMETERS } }));
  const user = (content) => [{ role: "system", content: "Be brief." }, { role: "user", content }];
  const create = (model, more = {}, messages = user("hello")) =>
    openai.chat.completions.create({ model: `${provider}/${model}`, messages, ...more });
  const joined = async (stream) => {
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
    return text;
  };
  const loop = (message) => {
    assert.ok(message.tool_calls?.length, JSON.stringify(message));
    const results = message.tool_calls.map((call) => {
      assert.equal(call.function.arguments.replaceAll(" ", ""), ARGUMENTS);
      return { role: "tool", tool_call_id: call.id, content: SIGHT };
    });
    return [...user("The weather?"), message, ...results];
  };
  const content = (answer) => answer.choices[0].message.content;
  return {
    async text() {
      const answer = await create("mock-model", { temperature: 0.5, max_tokens: 100, stop: ["!"] });
      assert.equal(content(answer), TEXT);
      assert.equal(answer.choices[0].finish_reason, "stop");
      assert.ok(answer.usage.total_tokens > 0);
    },
    async stream() {
      assert.equal(await joined(await create("mock-model", { stream: true })), TEXT);
    },
    async tools_loop() {
      const answer = await create("mock-tool", { tools });
      assert.equal(answer.choices[0].finish_reason, "tool_calls");
      assert.equal(content(await create("mock-tool", { tools }, loop(answer.choices[0].message))), TEXT);
    },
    async tools_streamed() {
      const model = `${provider}/mock-tool`;
      const answer = await openai.chat.completions.stream({ model, messages: user("The weather?"), tools }).finalChatCompletion();
      const { role, tool_calls } = answer.choices[0].message;
      const calls = tool_calls.map(({ id, type, function: { name, arguments: text } }) => ({ id, type, function: { name, arguments: text } }));
      const messages = loop({ role, content: null, tool_calls: calls });
      assert.equal(await joined(await create("mock-tool", { tools, stream: true }, messages)), TEXT);
    },
    async tools_parallel() {
      const { message } = (await create("mock-tools-2", { tools })).choices[0];
      assert.deepEqual(message.tool_calls.map((call) => call.function.name), ["get_weather", "get_time"]);
      assert.equal(content(await create("mock-tools-2", { tools }, loop(message))), TEXT);
    },
    async json_schema() {
      const json_schema = { name: "answer", schema: ANSWER, strict: true };
      const answer = await create("mock-json", { response_format: { type: "json_schema", json_schema } });
      assert.deepEqual(JSON.parse(content(answer)), { city: "Zürich" });
    },
    async image() {
      const image = { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } };
      assert.equal(content(await create("mock-model", {}, user([{ type: "text", text: "What is it?" }, image]))), TEXT);
    },
    async reasoning() {
      assert.equal(content(await create("mock-reasoning", { reasoning_effort: "low" })), TEXT);
    },
    async errors() {
      const error = await thrown(OpenAI.RateLimitError, 429, () => create("mock-status-429"));
      assert.equal(error.code, "provider_rate_limited");
      await thrown(OpenAI.InternalServerError, 502, () => create("mock-status-500"));
      await thrown(OpenAI.APIError, 424, () => create("mock-status-401", { stream: true }));
    },
    async stream_errors() {
      for (const model of FAILURES) {
        await assert.rejects(async () => joined(await create(model, { stream: true })), OpenAI.APIError, model);
      }
    },
  };
}

/** Responses with the OpenAI SDK. */
function responses(provider) {
  const tools = ["get_weather", "get_time"].map((name) => ({ type: "function", name, parameters: PARAMETERS, strict: true }));
  const create = (model, more = {}, input = "hello") =>
    openai.responses.create({ model: `${provider}/${model}`, input, instructions: "Be brief.", store: false, ...more });
  const loop = (answer) => {
    const calls = answer.output.filter((item) => item.type === "function_call");
    assert.ok(calls.length, JSON.stringify(answer.output));
    const results = calls.map((call) => {
      assert.equal(call.arguments.replaceAll(" ", ""), ARGUMENTS);
      return { type: "function_call_output", call_id: call.call_id, output: SIGHT };
    });
    return [{ role: "user", content: "The weather?" }, ...answer.output, ...results];
  };
  const events = async (model, more = {}) => {
    const all = [];
    for await (const event of await create(model, { stream: true, ...more })) all.push(event);
    return all;
  };
  return {
    async text() {
      const answer = await create("mock-model", { temperature: 0.5, max_output_tokens: 100 });
      assert.equal(answer.output_text, TEXT);
      assert.equal(answer.status, "completed");
    },
    async stream() {
      const all = await events("mock-model");
      assert.equal(all[0].type, "response.created");
      assert.equal(all.at(-1).type, "response.completed");
      const deltas = all.filter((event) => event.type === "response.output_text.delta");
      assert.equal(deltas.map((event) => event.delta).join(""), TEXT);
    },
    async tools_loop() {
      const answer = await create("mock-tool", { tools });
      assert.equal((await create("mock-tool", { tools }, loop(answer))).output_text, TEXT);
    },
    async tools_streamed() {
      const all = await events("mock-tool", { tools });
      const deltas = all.filter((event) => event.type === "response.function_call_arguments.delta");
      assert.equal(deltas.map((event) => event.delta).join(""), ARGUMENTS);
      assert.equal((await create("mock-tool", { tools }, loop(all.at(-1).response))).output_text, TEXT);
    },
    async tools_parallel() {
      const answer = await create("mock-tools-2", { tools });
      assert.equal(answer.output.filter((item) => item.type === "function_call").length, 2);
      assert.equal((await create("mock-tools-2", { tools }, loop(answer))).output_text, TEXT);
    },
    async json_schema() {
      const format = { type: "json_schema", name: "answer", schema: ANSWER, strict: true };
      assert.deepEqual(JSON.parse((await create("mock-json", { text: { format } })).output_text), { city: "Zürich" });
    },
    async image() {
      const image = { type: "input_image", image_url: `data:image/png;base64,${PNG}`, detail: "auto" };
      const content = [{ type: "input_text", text: "What is it?" }, image];
      assert.equal((await create("mock-model", {}, [{ role: "user", content }])).output_text, TEXT);
    },
    async reasoning() {
      const answer = await create("mock-reasoning", { reasoning: { effort: "low", summary: "auto" } });
      assert.equal(answer.output_text, TEXT);
      const thought = answer.output.find((item) => item.type === "reasoning");
      assert.ok(thought?.summary[0].text.includes("The user wants"), JSON.stringify(answer.output));
    },
    async errors() {
      await thrown(OpenAI.RateLimitError, 429, () => create("mock-status-429"));
      await thrown(OpenAI.InternalServerError, 503, () => create("mock-status-503"));
    },
    async stream_errors() {
      for (const model of FAILURES) {
        const kinds = [];
        try {
          for await (const event of await create(model, { stream: true })) kinds.push(event.type);
        } catch (error) {
          assert.ok(error instanceof OpenAI.APIError, String(error));
          kinds.push("error");
        }
        assert.ok(!kinds.includes("response.completed"), `${model} looked complete: ${kinds}`);
        assert.ok(kinds.includes("error") || kinds.includes("response.failed"), `${model}: ${kinds}`);
      }
    },
  };
}

/** Messages with the Anthropic SDK. */
function messages(provider) {
  const tools = ["get_weather", "get_time"].map((name) => ({ name, description: "What it says.", input_schema: PARAMETERS }));
  const body = (model, more = {}, content = "hello") => ({
    model: `${provider}/${model}`,
    max_tokens: 4096,
    system: "Be brief.",
    messages: [{ role: "user", content }],
    ...more,
  });
  const create = (...given) => anthropic.messages.create(body(...given));
  const loop = (answer) => {
    const calls = answer.content.filter((block) => block.type === "tool_use");
    assert.ok(calls.length, JSON.stringify(answer.content));
    assert.equal(answer.stop_reason, "tool_use");
    const results = calls.map((call) => {
      assert.equal(call.input.city, "Zürich");
      assert.equal(call.input.x, 0.1);
      return { type: "tool_result", tool_use_id: call.id, content: SIGHT };
    });
    const turns = [{ role: "user", content: "The weather?" }, { role: "assistant", content: answer.content }];
    return { tools, messages: [...turns, { role: "user", content: results }] };
  };
  return {
    async text() {
      const answer = await create("mock-model", { stop_sequences: ["!"] });
      assert.equal(answer.content[0].text, TEXT);
      assert.equal(answer.stop_reason, "end_turn");
      assert.ok(answer.usage.input_tokens > 0);
    },
    async stream() {
      const answer = await anthropic.messages.stream(body("mock-model")).finalMessage();
      assert.equal(answer.content[0].text, TEXT);
      assert.equal(answer.stop_reason, "end_turn");
    },
    async tools_loop() {
      const answer = await create("mock-tool", { tools });
      assert.equal((await create("mock-tool", loop(answer))).content[0].text, TEXT);
    },
    async tools_streamed() {
      const answer = await anthropic.messages.stream(body("mock-tool", { tools })).finalMessage();
      assert.equal((await create("mock-tool", loop(answer))).content[0].text, TEXT);
    },
    async tools_parallel() {
      const answer = await create("mock-tools-2", { tools });
      assert.equal(answer.content.filter((block) => block.type === "tool_use").length, 2);
      assert.equal((await create("mock-tools-2", loop(answer))).content[0].text, TEXT);
    },
    async json_schema() {
      const format = { type: "json_schema", schema: ANSWER };
      assert.deepEqual(JSON.parse((await create("mock-json", { output_config: { format } })).content[0].text), { city: "Zürich" });
    },
    async image() {
      const source = { type: "base64", media_type: "image/png", data: PNG };
      const answer = await create("mock-model", {}, [{ type: "image", source }, { type: "text", text: "What is it?" }]);
      assert.equal(answer.content[0].text, TEXT);
    },
    async reasoning() {
      const thinking = { type: "enabled", budget_tokens: 2048 };
      const said = ({ content }) => content.map((block) => (block.type === "text" ? block.text : "")).join("");
      const answer = await create("mock-reasoning", { thinking });
      assert.equal(said(answer), TEXT);
      const turns = [{ role: "user", content: "hello" }, { role: "assistant", content: answer.content }, { role: "user", content: "And?" }];
      assert.equal(said(await create("mock-reasoning", { thinking, messages: turns })), TEXT);
    },
    async errors() {
      await thrown(Anthropic.RateLimitError, 429, () => create("mock-status-429"));
      await thrown(Anthropic.InternalServerError, 502, () => create("mock-status-500"));
      await thrown(Anthropic.APIError, 424, () => create("mock-status-401"));
      const wrong = new Anthropic({ baseURL: GATEWAY, apiKey: "lgk_" + "a".repeat(68), maxRetries: 0 });
      await thrown(Anthropic.AuthenticationError, 401, () => wrong.messages.create(body("mock-model")));
    },
    async stream_errors() {
      for (const model of FAILURES) {
        const kinds = [];
        const read = async () => {
          for await (const event of await create(model, { stream: true })) kinds.push(event.type);
        };
        await assert.rejects(read, Anthropic.APIError, `${model}: ${kinds}`);
        assert.ok(!kinds.includes("message_stop"), `${model}: ${kinds}`);
      }
    },
  };
}

const tests = {
  async messages_count_tokens() {
    const asked = { model: "anthropic/mock-model", messages: [{ role: "user", content: "hello" }] };
    assert.equal((await anthropic.messages.countTokens(asked)).input_tokens, 14);
  },
};
for (const surface of [chat, responses, messages]) {
  for (const provider of ["openai", "anthropic", "google"]) {
    for (const [scenario, test] of Object.entries(surface(provider))) tests[`${surface.name}_${provider}_${scenario}`] = test;
  }
}

for (const [name, test] of Object.entries(tests)) {
  let detail = "";
  try {
    await test();
  } catch (error) {
    detail = error.stack ?? String(error);
  }
  console.log(JSON.stringify({ test: name, ok: detail === "", detail }));
}
