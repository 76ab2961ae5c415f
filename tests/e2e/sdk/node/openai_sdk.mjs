// The official OpenAI SDK for Node, unchanged, against a gateway. Run by the end-to-end suite.
//
// Prints one JSON line a test: {"test": name, "ok": bool, "detail": text}. The environment says where the gateway is
// (LOCKGATE_BASE_URL) and which gateway key to use (LOCKGATE_API_KEY).
import assert from "node:assert/strict";
import OpenAI from "openai";

const baseURL = process.env.LOCKGATE_BASE_URL;
const HELLO = [{ role: "user", content: "hello" }];

const client = (apiKey = process.env.LOCKGATE_API_KEY) => new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000 });
const chat = (model, more = {}) => client().chat.completions.create({ model, messages: HELLO, ...more });

/** The call throws exactly this class, with this status and code, and the gateway's own fields. */
async function thrown(kind, status, code, call) {
  let error;
  try {
    await call();
  } catch (caught) {
    error = caught;
  }
  assert.ok(error, "nothing was thrown");
  assert.equal(error.constructor.name, kind.name, String(error));
  assert.equal(error.status, status);
  assert.equal(error.code, code, String(error));
  assert.ok(error.type);
  assert.ok("remedy" in error.error.lockgate, JSON.stringify(error.error));
  assert.ok(error.error.lockgate.request_id, JSON.stringify(error.error));
  return error;
}

const tests = {
  async chat() {
    const answer = await chat("openai/gpt-4o");
    assert.ok(answer.choices[0].message.content);
    assert.equal(answer.choices[0].message.role, "assistant");
    assert.ok(answer.usage.total_tokens > 0);
  },
  async stream() {
    let text = "";
    let chunks = 0;
    for await (const chunk of await chat("openai/mock-events-10-5", { stream: true })) {
      chunks += 1;
      text += chunk.choices[0]?.delta?.content ?? "";
    }
    assert.ok(chunks >= 10 && text, `${chunks} ${text}`);
  },
  async stream_split() {
    let text = "";
    for await (const chunk of await chat("openai/mock-split", { stream: true })) text += chunk.choices[0]?.delta?.content ?? "";
    assert.ok(text.includes("東京"), text);
  },
  async async_stream() {
    // As a web stream, the way frameworks hand it on.
    const stream = await chat("openai/mock-events-5-5", { stream: true });
    let lines = 0;
    for await (const bytes of stream.toReadableStream()) lines += new TextDecoder().decode(bytes).split("\n").length - 1;
    assert.ok(lines >= 5, String(lines));
  },
  async completions() {
    const answer = await client().completions.create({ model: "openai/gpt-3.5-turbo-instruct", prompt: "hello" });
    assert.ok(answer.choices[0].text);
  },
  async embeddings() {
    const answer = await client().embeddings.create({ model: "openai/text-embedding-3-small", input: ["a", "b"] });
    assert.equal(answer.data.length, 2);
    assert.ok(answer.data[0].embedding.length > 0);
  },
  async models() {
    const ids = [];
    for await (const model of client().models.list()) ids.push(model.id);
    assert.ok(ids.some((id) => id.endsWith("gpt-4o")), ids.join());
  },
  async with_headers() {
    const { data, response } = await client().chat.completions.create({ model: "openai/gpt-4o", messages: HELLO }).withResponse();
    assert.equal(response.headers.get("lockgate-provider"), "openai");
    assert.equal(response.headers.get("lockgate-credential"), "byok");
    assert.ok(data.choices.length);
  },
  authentication_error: () =>
    thrown(OpenAI.AuthenticationError, 401, "gateway_key_malformed", () =>
      client("lgk_" + "a".repeat(68)).chat.completions.create({ model: "openai/gpt-4o", messages: HELLO }),
    ),
  bad_request_error: () =>
    thrown(OpenAI.BadRequestError, 400, "invalid_request", () => client().chat.completions.create({ model: null, messages: HELLO })),
  async not_found_error() {
    const error = await thrown(OpenAI.NotFoundError, 404, "model_not_found", () => chat("a-model-of-tomorrow"));
    assert.ok(String(error).includes("provider/model"), String(error));
  },
  async rate_limit_error() {
    const error = await thrown(OpenAI.RateLimitError, 429, "provider_rate_limited", () => chat("openai/mock-status-429"));
    assert.ok(Number(error.headers.get("retry-after")) > 0);
  },
  async not_ready_error() {
    const error = await thrown(OpenAI.APIError, 424, "provider_not_ready", () => chat("mistral/mistral-large-latest"));
    assert.ok(String(error).includes("Mistral"), String(error));
  },
  async access_denied_error() {
    const error = await thrown(OpenAI.PermissionDeniedError, 403, "access_denied", () => chat("xai/grok-4"));
    assert.equal(error.error.lockgate.reason, "denied_by_policy");
    assert.ok(String(error).includes("app") && String(error).includes("no-xai"), String(error));
  },
  // A provider's 401 is not the caller's: never AuthenticationError.
  key_rejected_error: () => thrown(OpenAI.APIError, 424, "provider_key_rejected", () => chat("openai/mock-status-401")),
  quota_error: () => thrown(OpenAI.APIError, 424, "provider_quota_exhausted", () => chat("openai/mock-quota")),
  too_large_error: () =>
    thrown(OpenAI.APIError, 413, "request_too_large", () =>
      client().chat.completions.create({ model: "openai/gpt-4o", messages: [{ role: "user", content: "x".repeat(33 << 20) }] }),
    ),
  server_error: () => thrown(OpenAI.InternalServerError, 502, "provider_error", () => chat("openai/mock-status-500")),
  overloaded_error: () => thrown(OpenAI.InternalServerError, 503, "provider_overloaded", () => chat("openai/mock-status-503")),
  timeout_error: () => thrown(OpenAI.InternalServerError, 504, "provider_timeout", () => chat("openai/mock-silent")),
  // Before its first byte a stream fails like any request.
  stream_refused: () =>
    thrown(OpenAI.RateLimitError, 429, "provider_rate_limited", () => chat("openai/mock-status-429", { stream: true })),
  async stream_error_event() {
    let chunks = 0;
    let error;
    try {
      for await (const _ of await chat("openai/mock-break-5", { stream: true })) chunks += 1;
    } catch (caught) {
      error = caught;
    }
    assert.ok(error, `the broken stream looked complete after ${chunks} chunks`);
    assert.equal(error.constructor.name, OpenAI.APIError.name, String(error));
    assert.equal(error.code, "provider_error");
    assert.equal(error.error.lockgate.provider, "openai");
    assert.ok(chunks >= 4, String(chunks));
  },
};

for (const [name, test] of Object.entries(tests)) {
  let detail = "";
  try {
    await test();
  } catch (error) {
    detail = error.stack ?? String(error);
  }
  console.log(JSON.stringify({ test: name, ok: detail === "", detail }));
}
