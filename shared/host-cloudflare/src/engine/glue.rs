//! What `glue.js` provides. None of these may throw, except those marked `catch`.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn configure(head: &str, withheld: &str, first: u32, last: u32);
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn log(line: &str);

    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn wake(task: u32);
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn spawn(ctx: &JsValue) -> u32;
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn done(task: u32);
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn sleep(slot: u32, ms: f64) -> JsValue;
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn clear(timer: &JsValue);

    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn now() -> f64;
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn random(buffer: &mut [u8]);
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn variable(env: &JsValue, name: &str) -> Option<String>;
    /// Whether a setting is there and is no text, so that [`kept`] has to get it.
    #[wasm_bindgen(js_namespace = glue, js_name = isKept)]
    pub(crate) fn is_kept(env: &JsValue, name: &str) -> bool;
    /// Gets a setting, always as text, from what keeps it.
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn kept(slot: u32, env: &JsValue, name: &str);

    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn header(headers: &JsValue, name: &str) -> Option<String>;
    #[wasm_bindgen(js_namespace = glue, js_name = headersOf)]
    pub(crate) fn headers_of(source: &JsValue) -> JsValue;
    #[wasm_bindgen(js_namespace = glue, js_name = statusOf)]
    pub(crate) fn status_of(response: &JsValue) -> u16;
    /// A `Uint8Array`'s content.
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn bytes(value: &JsValue) -> Vec<u8>;
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn read(slot: u32, source: &JsValue, limit: f64, idle_ms: f64);
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn discard(source: &JsValue);
    /// Has the running task's answer wait until the rest of the upload has been read.
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn drain(request: &JsValue);
    /// Keeps a list of header names, a line each, for [`send`]; returns its number.
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn allow(list: &str) -> u32;
    /// Sends a request; returns what [`abort`] takes. `message` is, a line each, method, URL, the credential's name and value, then
    /// names and values of headers to set; `from` the headers from which those of list `allow` are passed on.
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn send(
        slot: u32,
        message: &str,
        from: &JsValue,
        allow: u32,
        body: &JsValue,
        head_ms: f64,
    ) -> JsValue;
    #[wasm_bindgen(js_namespace = glue, js_name = toBody)]
    pub(crate) fn to_body(bytes: Vec<u8>) -> JsValue;
    /// The unread stream of a `Request`, to be sent on as it arrives.
    #[wasm_bindgen(js_namespace = glue, js_name = streamOf)]
    pub(crate) fn stream_of(source: &JsValue) -> JsValue;
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn abort(controller: &JsValue);

    #[wasm_bindgen(js_namespace = glue, js_name = answerBytes)]
    pub(crate) fn answer_bytes(task: u32, status: u16, from: &JsValue, set: &str, bytes: Vec<u8>);
    #[wasm_bindgen(js_namespace = glue, js_name = answerThrough)]
    pub(crate) fn answer_through(
        task: u32,
        status: u16,
        from: &JsValue,
        set: &str,
        source: &JsValue,
    );
    #[wasm_bindgen(js_namespace = glue, js_name = answerWatched)]
    #[allow(clippy::too_many_arguments, reason = "one crossing is the point")]
    pub(crate) fn answer_watched(
        task: u32,
        status: u16,
        from: &JsValue,
        set: &str,
        source: &JsValue,
        watch: u32,
        idle_ms: f64,
        ctx: &JsValue,
    );

    #[wasm_bindgen(js_namespace = glue, js_name = answerFollowed)]
    #[allow(clippy::too_many_arguments, reason = "one crossing is the point")]
    pub(crate) fn answer_followed(
        task: u32,
        status: u16,
        from: &JsValue,
        set: &str,
        source: &JsValue,
        watch: u32,
        idle_ms: f64,
        ctx: &JsValue,
    );

    #[wasm_bindgen(js_namespace = glue, js_name = answerTransformed)]
    #[allow(clippy::too_many_arguments, reason = "one crossing is the point")]
    pub(crate) fn answer_transformed(
        task: u32,
        status: u16,
        from: &JsValue,
        set: &str,
        source: &JsValue,
        transform: u32,
        idle_ms: f64,
        ctx: &JsValue,
    );

    #[wasm_bindgen(js_namespace = glue, js_name = kvGet)]
    pub(crate) fn kv_get(slot: u32, env: &JsValue, key: &str);
    #[wasm_bindgen(js_namespace = glue, js_name = kvPut)]
    pub(crate) fn kv_put(slot: u32, env: &JsValue, key: &str, value: Vec<u8>);
    #[wasm_bindgen(js_namespace = glue, js_name = kvDelete)]
    pub(crate) fn kv_delete(slot: u32, env: &JsValue, key: &str);
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn ask(slot: u32, env: &JsValue, object: &str, question: Vec<u8>);
    #[wasm_bindgen(js_namespace = glue, js_name = answerQuestion)]
    pub(crate) fn answer_question(task: u32, answer: Vec<u8>);

    /// Runs `body` in a transaction, which it rolls back where `body` says `false`.
    #[wasm_bindgen(js_namespace = glue, catch)]
    pub(crate) fn transact(
        storage: &JsValue,
        body: &mut dyn FnMut() -> bool,
    ) -> Result<(), JsValue>;
    /// Runs a statement; parameters and rows are packed as `store.rs` says.
    #[wasm_bindgen(js_namespace = glue, catch)]
    pub(crate) fn query(storage: &JsValue, sql: &str, params: &[u8]) -> Result<Vec<u8>, JsValue>;
    /// The text of whatever was thrown.
    #[wasm_bindgen(js_namespace = glue)]
    pub(crate) fn text(error: &JsValue) -> String;
}
