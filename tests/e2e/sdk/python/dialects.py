"""The official OpenAI and Anthropic SDKs for Python, unchanged, over providers that speak other dialects.

Run by the end-to-end suite. Prints one JSON line a test: {"test": name, "ok": bool, "detail": text}. The environment says
where the gateway is (LOCKGATE_URL) and which gateway key to use (LOCKGATE_API_KEY). A test's name is
`<surface>_<provider>_<scenario>`; the providers are mocks that refuse what the real ones would.
"""

import base64
import json
import os
import traceback

import anthropic
import openai

URL = os.environ["LOCKGATE_URL"]
KEY = os.environ["LOCKGATE_API_KEY"]
TEXT = "Hello from the mock provider."
ARGUMENTS = {"city": "Zürich", "n": 9007199254740993, "x": 0.1}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where."}, "n": {"type": "integer"}, "x": {"type": "number"}},
    "required": ["city", "n", "x"],
    "additionalProperties": False,
}
ANSWER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["city", "n"],
    "additionalProperties": False,
}

assert base64.b64decode(PNG)


def raised(kind, status, call):
    """The call raises exactly this exception."""
    try:
        call()
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        assert type(error) is kind, f"{type(error).__name__}: {error}"
        assert error.status_code == status, f"{error.status_code}: {error}"
        return error
    raise AssertionError("nothing was raised")


class Chat:
    """Chat completions with the OpenAI SDK."""

    tools = [{"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": PARAMETERS}}]
    tools.append({"type": "function", "function": {"name": "get_time", "parameters": PARAMETERS}})

    def __init__(self, provider):
        self.provider = provider
        self.client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=60)

    def create(self, model, content="hello", **more):
        messages = more.pop("messages", None) or [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": content},
        ]
        return self.client.chat.completions.create(model=f"{self.provider}/{model}", messages=messages, **more)

    def text(self):
        answer = self.create("mock-model", temperature=0.5, max_tokens=100, stop=["!"])
        assert answer.choices[0].message.content == TEXT, answer
        assert answer.choices[0].finish_reason == "stop", answer
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer

    def stream(self):
        chunks = list(self.create("mock-model", stream=True))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == TEXT, text
        assert all(chunk.usage is None for chunk in chunks), chunks
        assert [chunk for chunk in chunks if chunk.choices][-1].choices[0].finish_reason == "stop"
        chunks = list(self.create("mock-model", stream=True, stream_options={"include_usage": True}))
        assert chunks[-1].usage.total_tokens > 0, chunks[-1]

    def loop(self, message):
        """What was called gets its results, and the model answers."""
        assert message.tool_calls, message
        messages = [{"role": "user", "content": "The weather?"}, message]
        for call in message.tool_calls:
            assert json.loads(call.function.arguments) == ARGUMENTS, call
            messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"sky": "blue"}'})
        ids = {call.id for call in message.tool_calls}
        assert len(ids) == len(message.tool_calls), ids
        return messages

    def tools_loop(self):
        answer = self.create("mock-tool", tools=self.tools)
        assert answer.choices[0].finish_reason == "tool_calls", answer
        assert answer.choices[0].message.tool_calls[0].function.name == "get_weather", answer
        answer = self.create("mock-tool", messages=self.loop(answer.choices[0].message), tools=self.tools)
        assert answer.choices[0].message.content == TEXT, answer

    def tools_streamed(self):
        with self.client.chat.completions.stream(
            model=f"{self.provider}/mock-tool", messages=[{"role": "user", "content": "The weather?"}], tools=self.tools
        ) as stream:
            for _ in stream:
                pass
            answer = stream.get_final_completion()
        message = answer.choices[0].message.model_dump(include={"role", "content", "tool_calls"})
        for call in message["tool_calls"]:
            call["function"].pop("parsed_arguments", None)
            call.pop("index", None)
        assert answer.choices[0].finish_reason == "tool_calls", answer
        messages = self.loop(answer.choices[0].message)
        messages[1] = message
        stream = self.create("mock-tool", messages=messages, tools=self.tools, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert text == TEXT, text

    def tools_parallel(self):
        answer = self.create("mock-tools-2", tools=self.tools)
        message = answer.choices[0].message
        assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"], message
        answer = self.create("mock-tools-2", messages=self.loop(message), tools=self.tools)
        assert answer.choices[0].message.content == TEXT, answer
        if self.provider != "google":  # which has no such switch
            one = self.create("mock-tools-2", tools=self.tools, parallel_tool_calls=False)
            assert len(one.choices[0].message.tool_calls) == 1, one

    def json_schema(self):
        schema = {"name": "answer", "schema": ANSWER, "strict": True}
        answer = self.create("mock-json", response_format={"type": "json_schema", "json_schema": schema})
        assert json.loads(answer.choices[0].message.content) == {"city": "Zürich", "n": 9007199254740993}, answer

    def image(self):
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
        answer = self.create("mock-model", [{"type": "text", "text": "What is it?"}, image])
        assert answer.choices[0].message.content == TEXT, answer

    def reasoning(self):
        answer = self.create("mock-reasoning", reasoning_effort="low")
        assert answer.choices[0].message.content == TEXT, answer

    def errors(self):
        error = raised(openai.RateLimitError, 429, lambda: self.create("mock-status-429"))
        assert error.code == "provider_rate_limited", error
        raised(openai.InternalServerError, 502, lambda: self.create("mock-status-500"))
        error = raised(openai.APIStatusError, 424, lambda: self.create("mock-status-401", stream=True))
        assert error.code == "provider_key_rejected", error
        if self.provider != "google":  # which says the same of a rate
            error = raised(openai.APIStatusError, 424, lambda: self.create("mock-quota"))
            assert error.code == "provider_quota_exhausted", error

    def stream_errors(self):
        for model in ["mock-error-mid-3", "mock-break-3", "mock-cut-3"]:
            text = ""
            try:
                for chunk in self.create(model, stream=True):
                    text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            except openai.APIError:
                assert text.startswith("0 1 "), (model, text)
                continue
            raise AssertionError(f"{model} looked complete: {text}")


class Responses:
    """Responses with the OpenAI SDK."""

    tools = [
        {"type": "function", "name": name, "parameters": PARAMETERS, "strict": True} for name in ["get_weather", "get_time"]
    ]

    def __init__(self, provider):
        self.provider = provider
        self.client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=60)

    def create(self, model, given="hello", **more):
        more.setdefault("instructions", "Be brief.")
        # A gateway keeps nothing that a later request could refer to.
        more.setdefault("store", False)
        return self.client.responses.create(model=f"{self.provider}/{model}", input=given, **more)

    def text(self):
        answer = self.create("mock-model", temperature=0.5, max_output_tokens=100)
        assert answer.output_text == TEXT and answer.status == "completed", answer
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens, answer

    def stream(self):
        events = list(self.create("mock-model", stream=True))
        kinds = [event.type for event in events]
        assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
        assert [event.sequence_number for event in events] == list(range(len(events))), events
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert text == TEXT, text
        assert events[-1].response.output_text == TEXT, events[-1]

    def loop(self, answer):
        calls = [item for item in answer.output if item.type == "function_call"]
        assert calls, answer
        given = [{"role": "user", "content": "The weather?"}, *answer.output]
        for call in calls:
            assert json.loads(call.arguments) == ARGUMENTS, call
            given.append({"type": "function_call_output", "call_id": call.call_id, "output": '{"sky": "blue"}'})
        return given

    def tools_loop(self):
        answer = self.create("mock-tool", tools=self.tools)
        answer = self.create("mock-tool", self.loop(answer), tools=self.tools)
        assert answer.output_text == TEXT, answer

    def tools_streamed(self):
        events = list(self.create("mock-tool", tools=self.tools, stream=True))
        deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
        assert json.loads("".join(deltas)) == ARGUMENTS, deltas
        answer = self.create("mock-tool", self.loop(events[-1].response), tools=self.tools)
        assert answer.output_text == TEXT, answer

    def tools_parallel(self):
        answer = self.create("mock-tools-2", tools=self.tools)
        names = [item.name for item in answer.output if item.type == "function_call"]
        assert names == ["get_weather", "get_time"], answer
        answer = self.create("mock-tools-2", self.loop(answer), tools=self.tools)
        assert answer.output_text == TEXT, answer

    def json_schema(self):
        format = {"type": "json_schema", "name": "answer", "schema": ANSWER, "strict": True}
        answer = self.create("mock-json", text={"format": format})
        assert json.loads(answer.output_text) == {"city": "Zürich", "n": 9007199254740993}, answer

    def image(self):
        image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
        content = [{"type": "input_text", "text": "What is it?"}, image]
        answer = self.create("mock-model", [{"role": "user", "content": content}])
        assert answer.output_text == TEXT, answer

    def reasoning(self):
        answer = self.create("mock-reasoning", reasoning={"effort": "low", "summary": "auto"})
        assert answer.output_text == TEXT, answer
        thoughts = [item for item in answer.output if item.type == "reasoning"]
        assert thoughts and "The user wants" in thoughts[0].summary[0].text, answer

    def errors(self):
        error = raised(openai.RateLimitError, 429, lambda: self.create("mock-status-429"))
        assert error.code == "provider_rate_limited", error
        raised(openai.InternalServerError, 503, lambda: self.create("mock-status-503"))

    def stream_errors(self):
        for model in ["mock-error-mid-3", "mock-break-3", "mock-cut-3"]:
            kinds = []
            try:
                for event in self.create(model, stream=True):
                    kinds.append(event.type)
            except openai.APIError:
                kinds.append("error")
            assert "response.completed" not in kinds, (model, kinds)
            assert {"error", "response.failed"} & set(kinds), (model, kinds)


class Messages:
    """Messages with the Anthropic SDK."""

    tools = [{"name": name, "description": "What it says.", "input_schema": PARAMETERS} for name in ["get_weather", "get_time"]]

    def __init__(self, provider):
        self.provider = provider
        self.client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60)

    def arguments(self, model, content="hello", **more):
        more.setdefault("messages", [{"role": "user", "content": content}])
        more.setdefault("max_tokens", 4096)
        return {"model": f"{self.provider}/{model}", "system": "Be brief.", **more}

    def create(self, *given, **more):
        return self.client.messages.create(**self.arguments(*given, **more))

    def text(self):
        answer = self.create("mock-model", stop_sequences=["!"])
        assert answer.content[0].text == TEXT and answer.stop_reason == "end_turn", answer
        assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer

    def stream(self):
        with self.client.messages.stream(**self.arguments("mock-model")) as stream:
            assert "".join(stream.text_stream) == TEXT
            answer = stream.get_final_message()
        assert answer.content[0].text == TEXT and answer.stop_reason == "end_turn", answer
        assert answer.usage.output_tokens > 0, answer

    def loop(self, answer):
        calls = [block for block in answer.content if block.type == "tool_use"]
        assert calls and answer.stop_reason == "tool_use", answer
        results = []
        for call in calls:
            assert call.input == ARGUMENTS, call
            results.append({"type": "tool_result", "tool_use_id": call.id, "content": '{"sky": "blue"}'})
        turns = [{"role": "user", "content": "The weather?"}, {"role": "assistant", "content": answer.content}]
        return [*turns, {"role": "user", "content": results}]

    def tools_loop(self):
        answer = self.create("mock-tool", tools=self.tools)
        answer = self.create("mock-tool", messages=self.loop(answer), tools=self.tools)
        assert answer.content[0].text == TEXT, answer

    def tools_streamed(self):
        with self.client.messages.stream(**self.arguments("mock-tool", tools=self.tools)) as stream:
            answer = stream.get_final_message()
        content = [{"type": "tool_use", "id": block.id, "name": block.name, "input": block.input} for block in answer.content]
        turns = self.loop(answer)
        turns[1]["content"] = content
        answer = self.create("mock-tool", messages=turns, tools=self.tools)
        assert answer.content[0].text == TEXT, answer

    def tools_parallel(self):
        answer = self.create("mock-tools-2", tools=self.tools)
        assert [block.name for block in answer.content if block.type == "tool_use"] == ["get_weather", "get_time"], answer
        answer = self.create("mock-tools-2", messages=self.loop(answer), tools=self.tools)
        assert answer.content[0].text == TEXT, answer
        if self.provider != "google":  # which has no such switch
            choice = {"type": "auto", "disable_parallel_tool_use": True}
            one = self.create("mock-tools-2", tools=self.tools, tool_choice=choice)
            assert len([block for block in one.content if block.type == "tool_use"]) == 1, one

    def json_schema(self):
        format = {"type": "json_schema", "schema": ANSWER}
        answer = self.create("mock-json", output_config={"format": format})
        assert json.loads(answer.content[0].text) == {"city": "Zürich", "n": 9007199254740993}, answer

    def image(self):
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        answer = self.create("mock-model", [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}])
        assert answer.content[0].text == TEXT, answer

    def reasoning(self):
        thinking = {"type": "enabled", "budget_tokens": 2048}
        answer = self.create("mock-reasoning", thinking=thinking)
        said = lambda: "".join(block.text for block in answer.content if block.type == "text")
        assert said() == TEXT, answer
        if self.provider != "openai":  # whose chat completions do not tell thoughts
            assert "The user wants" in answer.content[0].thinking, answer
        turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": answer.content}]
        turns.append({"role": "user", "content": "And?"})
        answer = self.create("mock-reasoning", messages=turns, thinking=thinking)
        assert said() == TEXT, answer

    def errors(self):
        raised(anthropic.RateLimitError, 429, lambda: self.create("mock-status-429"))
        raised(anthropic.InternalServerError, 502, lambda: self.create("mock-status-500"))
        raised(anthropic.APIStatusError, 424, lambda: self.create("mock-status-401"))
        wrong = anthropic.Anthropic(base_url=URL, api_key="lgk_" + "a" * 68, max_retries=0)
        raised(anthropic.AuthenticationError, 401, lambda: wrong.messages.create(**self.arguments("mock-model")))

    def stream_errors(self):
        for model in ["mock-error-mid-3", "mock-break-3", "mock-cut-3"]:
            kinds = []
            try:
                for event in self.create(model, stream=True):
                    kinds.append(event.type)
            except anthropic.APIError:
                assert "message_stop" not in kinds, (model, kinds)
                assert kinds.count("content_block_delta") >= 2, (model, kinds)
                continue
            raise AssertionError(f"{model} looked complete: {kinds}")


def count_tokens():
    client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
    counted = client.messages.count_tokens(model="anthropic/mock-model", messages=[{"role": "user", "content": "hello"}])
    assert counted.input_tokens == 14, counted


def azure(**more):
    return openai.AzureOpenAI(azure_endpoint=URL, api_key=KEY, api_version="2024-10-21", max_retries=0, timeout=60, **more)


def azure_chat():
    answer = azure().chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content == TEXT, answer


def azure_stream():
    messages = [{"role": "user", "content": "hello"}]
    stream = azure(azure_deployment="gpt-4o").chat.completions.create(model="gpt-4o", messages=messages, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == TEXT, text


def azure_embeddings():
    answer = azure().embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) > 0, answer


def azure_errors():
    wrong = openai.AzureOpenAI(azure_endpoint=URL, api_key="lgk_" + "a" * 68, api_version="2024-10-21", max_retries=0)
    call = lambda: wrong.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
    raised(openai.AuthenticationError, 401, call)


SCENARIOS = ["text", "stream", "tools_loop", "tools_streamed", "tools_parallel", "json_schema", "image", "reasoning"]
SCENARIOS += ["errors", "stream_errors"]
TESTS = {"messages_count_tokens": count_tokens, "azure_chat": azure_chat, "azure_stream": azure_stream}
TESTS |= {"azure_embeddings": azure_embeddings, "azure_errors": azure_errors}
for surface in [Chat, Responses, Messages]:
    for provider in ["openai", "anthropic", "google"]:
        for scenario in SCENARIOS:
            TESTS[f"{surface.__name__.lower()}_{provider}_{scenario}"] = getattr(surface(provider), scenario)

for name, test in TESTS.items():
    detail = ""
    try:
        test()
    except Exception:  # noqa: BLE001 - whatever it is, it is this test's failure
        detail = traceback.format_exc()
    print(json.dumps({"test": name, "ok": not detail, "detail": detail}), flush=True)
