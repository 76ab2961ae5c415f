"""The official OpenAI SDK for Python, unchanged, against a gateway. Run by the end-to-end suite.

Prints one JSON line a test: {"test": name, "ok": bool, "detail": text}. The environment says where the gateway is
(LOCKGATE_BASE_URL) and which gateway key to use (LOCKGATE_API_KEY).
"""

import asyncio
import json
import os
import traceback

import openai
from openai import AsyncOpenAI, OpenAI

BASE_URL = os.environ["LOCKGATE_BASE_URL"]
API_KEY = os.environ["LOCKGATE_API_KEY"]
HELLO = [{"role": "user", "content": "hello"}]


def client(key=API_KEY):
    return OpenAI(base_url=BASE_URL, api_key=key, max_retries=0, timeout=60)


def chat(model, **more):
    return client().chat.completions.create(model=model, messages=HELLO, **more)


def raised(kind, status, code, call):
    """The call raises exactly this exception, with this status and code, and the gateway's own fields."""
    try:
        call()
    except openai.APIError as error:
        assert type(error) is kind, f"{type(error).__name__}: {error}"
        assert error.status_code == status, f"{error.status_code}: {error}"
        assert error.code == code, f"{error.code}: {error}"
        assert error.type, error
        assert "remedy" in error.body["lockgate"], error.body
        assert error.body["lockgate"]["request_id"], error.body
        return error
    raise AssertionError("nothing was raised")


def test_chat():
    answer = chat("openai/gpt-4o")
    assert answer.choices[0].message.content, answer
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage.total_tokens > 0


def test_stream():
    text, chunks = "", 0
    for chunk in chat("openai/mock-events-10-5", stream=True):
        chunks += 1
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
    assert chunks >= 10 and text, (chunks, text)


def test_stream_split():
    text = "".join(
        chunk.choices[0].delta.content or "" for chunk in chat("openai/mock-split", stream=True) if chunk.choices
    )
    assert "東京" in text, text


def test_async_stream():
    async def run():
        async with AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as asynchronous:
            stream = await asynchronous.chat.completions.create(
                model="openai/mock-events-5-5", messages=HELLO, stream=True
            )
            return [chunk async for chunk in stream]

    assert len(asyncio.run(run())) >= 5


def test_completions():
    answer = client().completions.create(model="openai/gpt-3.5-turbo-instruct", prompt="hello")
    assert answer.choices[0].text, answer


def test_embeddings():
    answer = client().embeddings.create(model="openai/text-embedding-3-small", input=["a", "b"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) > 0, answer


def test_models():
    ids = [model.id for model in client().models.list()]
    assert any(name.endswith("gpt-4o") for name in ids), ids


def test_with_headers():
    answer = client().chat.completions.with_raw_response.create(model="openai/gpt-4o", messages=HELLO)
    assert answer.headers["lockgate-provider"] == "openai", answer.headers
    assert answer.headers["lockgate-credential"] == "byok", answer.headers
    assert answer.parse().choices


def test_authentication_error():
    call = lambda: client("lgk_" + "a" * 68).chat.completions.create(model="openai/gpt-4o", messages=HELLO)
    raised(openai.AuthenticationError, 401, "gateway_key_malformed", call)


def test_bad_request_error():
    call = lambda: client().chat.completions.create(model=None, messages=HELLO)
    raised(openai.BadRequestError, 400, "invalid_request", call)


def test_not_found_error():
    error = raised(openai.NotFoundError, 404, "model_not_found", lambda: chat("a-model-of-tomorrow"))
    assert "provider/model" in str(error), error


def test_rate_limit_error():
    error = raised(openai.RateLimitError, 429, "provider_rate_limited", lambda: chat("openai/mock-status-429"))
    assert int(error.response.headers["retry-after"]) > 0


def test_not_ready_error():
    error = raised(openai.APIStatusError, 424, "provider_not_ready", lambda: chat("mistral/mistral-large-latest"))
    assert "Mistral" in str(error), error


def test_access_denied_error():
    error = raised(openai.PermissionDeniedError, 403, "access_denied", lambda: chat("xai/grok-4"))
    assert error.body["lockgate"]["reason"] == "denied_by_policy", error.body
    assert "app" in str(error) and "no-xai" in str(error), error


def test_key_rejected_error():
    # A provider's 401 is not the caller's: never AuthenticationError.
    raised(openai.APIStatusError, 424, "provider_key_rejected", lambda: chat("openai/mock-status-401"))


def test_quota_error():
    raised(openai.APIStatusError, 424, "provider_quota_exhausted", lambda: chat("openai/mock-quota"))


def test_too_large_error():
    large = [{"role": "user", "content": "x" * (33 << 20)}]
    call = lambda: client().chat.completions.create(model="openai/gpt-4o", messages=large)
    raised(openai.APIStatusError, 413, "request_too_large", call)


def test_server_error():
    raised(openai.InternalServerError, 502, "provider_error", lambda: chat("openai/mock-status-500"))


def test_overloaded_error():
    raised(openai.InternalServerError, 503, "provider_overloaded", lambda: chat("openai/mock-status-503"))


def test_timeout_error():
    raised(openai.InternalServerError, 504, "provider_timeout", lambda: chat("openai/mock-silent"))


def test_stream_refused():
    # Before its first byte a stream fails like any request.
    raised(openai.RateLimitError, 429, "provider_rate_limited", lambda: chat("openai/mock-status-429", stream=True))


def test_stream_error_event():
    chunks = 0
    try:
        for _ in chat("openai/mock-break-5", stream=True):
            chunks += 1
    except openai.APIError as error:
        assert type(error) is openai.APIError, type(error)
        assert error.code == "provider_error", error.body
        assert error.body["lockgate"]["provider"] == "openai", error.body
        assert chunks >= 4, chunks
        return
    raise AssertionError(f"the broken stream looked complete after {chunks} chunks")


for name, test in list(globals().items()):
    if name.startswith("test_"):
        detail = ""
        try:
            test()
        except Exception:  # noqa: BLE001 - whatever it is, it is this test's failure
            detail = traceback.format_exc()
        print(json.dumps({"test": name[len("test_") :], "ok": not detail, "detail": detail}), flush=True)
