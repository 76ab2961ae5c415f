//! The engine proper, for `wasm32-unknown-unknown` with `glue.js`.

mod answer;
mod fetch;
mod glue;
mod store;
mod task;

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use lockgate_host::{
    Answer, Background, Clock, Host, Incoming, Method, Misconfigured, Random, Variables,
};
use wasm_bindgen::JsValue;

pub use fetch::{Body, Headers, Payload};
pub use store::{SqlDatabase, Unreached};

/// The engine, as one request sees it.
#[derive(Clone)]
pub struct Cloudflare {
    context: Rc<Context>,
}

struct Context {
    /// The Worker's bindings.
    env: JsValue,
    /// The request's `ExecutionContext`.
    ctx: JsValue,
}

/// Prepares a fresh instance: to be called once, from the module's start function.
pub fn start() {
    // The payload is left out, since it may quote data; the place is enough to find the mistake.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(|at| format!("{}:{}", at.file(), at.line()))
            .unwrap_or_default();
        glue::log(&format!("lockgate: panicked at {place}"));
    }));
    glue::configure(
        &fetch::AT_HAND.join("\n"),
        &lockgate_host::WITHHELD_HEADERS.join("\n"),
        u32::try_from(lockgate_host::HEAD_BYTES).unwrap_or(u32::MAX),
        u32::try_from(lockgate_host::TAIL_BYTES).unwrap_or(u32::MAX),
    );
}

/// What JavaScript hands over for a request.
pub struct Arrival {
    /// The task that is to answer it.
    pub task: u32,
    /// Method, URL and the values of the headers that `configure` named, a line each; a NUL stands for an absent header.
    pub head: String,
    /// Its `Headers`.
    pub headers: JsValue,
    /// The `Request`.
    pub request: JsValue,
    /// The Worker's bindings.
    pub env: JsValue,
    /// The `ExecutionContext`.
    pub ctx: JsValue,
}

/// Serves one request with `handler`.
pub fn serve<F>(arrival: Arrival, handler: impl FnOnce(Cloudflare, Incoming<Cloudflare>) -> F)
where
    F: Future<Output = Answer<Cloudflare>> + 'static,
{
    let Arrival {
        task,
        head,
        headers,
        request,
        env,
        ctx,
    } = arrival;
    let host = Cloudflare {
        context: Rc::new(Context { env, ctx }),
    };
    let (method, path, query, headers) = fetch::head(head, headers);
    let body = Body::incoming(request, &headers);
    let incoming = Incoming {
        method,
        path,
        query,
        headers,
        body,
    };
    let work = handler(host.clone(), incoming);
    task::run(task, async move {
        let answer = work.await;
        answer::give(task, answer, &host.context.ctx);
    });
}

/// Does scheduled work with `handler`; what it could not do goes to the log, and is done the next time.
pub fn due<F>(task: u32, env: JsValue, ctx: JsValue, handler: impl FnOnce(Cloudflare) -> F)
where
    F: Future<Output = Result<(), String>> + 'static,
{
    let work = handler(Cloudflare {
        context: Rc::new(Context { env, ctx }),
    });
    task::run(task, async move {
        if let Err(problem) = work.await {
            glue::log(&format!("lockgate: scheduled work: {problem}"));
        }
        glue::done(task);
    });
}

/// Answers one question to the authority with `handler`, which gets the Durable Object's database, the time and the question.
pub fn authority<F>(
    task: u32,
    storage: JsValue,
    question: Vec<u8>,
    handler: impl FnOnce(SqlDatabase, u64, Vec<u8>) -> F,
) where
    F: Future<Output = Vec<u8>> + 'static,
{
    let work = handler(SqlDatabase::new(storage), now(), question);
    task::run(task, async move {
        glue::answer_question(task, work.await);
    });
}

fn now() -> u64 {
    // Whole milliseconds far below 2^53; the cast saturates.
    glue::now() as u64
}

impl Variables for Cloudflare {
    async fn variable(&self, name: &'static str) -> Result<Option<String>, Misconfigured> {
        let env = &self.context.env;
        let text = if glue::is_kept(env, name) {
            let promised = task::Promised::new();
            glue::kept(promised.slot(), env, name);
            let kept = promised.await.map_err(|error| Misconfigured {
                setting: name,
                problem: glue::text(&error),
            })?;
            kept.as_string()
        } else {
            glue::variable(env, name)
        };
        Ok(text.filter(|text| !text.is_empty()))
    }
}

/// Both clocks are the runtime's one clock. In production it stands still between I/O events, so that within a request it
/// shows the time of the last answer received, and nobody promises that it never steps back; locally it is the system's.
impl Clock for Cloudflare {
    fn now_ms(&self) -> u64 {
        now()
    }

    fn monotonic_ms(&self) -> u64 {
        now()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        task::sleep(duration)
    }
}

impl Random for Cloudflare {
    fn random(&self, buffer: &mut [u8]) {
        // The most that one call of getRandomValues fills.
        for part in buffer.chunks_mut(65_536) {
            glue::random(part);
        }
    }
}

impl Background for Cloudflare {
    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let task = glue::spawn(&self.context.ctx);
        task::insert(task, async move {
            work.await;
            glue::done(task);
        });
        glue::wake(task);
    }
}

impl Host for Cloudflare {
    const ENGINE: &'static str = "cloudflare";
}

/// The method, as `http` has it; an odd one that it does not take is treated as unknown.
fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap_or_default()
}
