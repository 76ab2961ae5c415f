// The Cloudflare engine's JavaScript half. The Rust half (shared/host-cloudflare/src) calls what `glueFor` returns, and is
// called through `instance.exports`. It exists to cross between the two as rarely as possible: one crossing for a
// request's head, one to send, one to answer; bodies do not cross unless Rust reads them.
//
// No function that Rust calls may throw, unless it is declared with `catch` there: an exception would leave Rust in the
// middle of a call, as a panic does.
//
// `scripts/bundle` joins this file with body.js, sql.js, the entry and what wasm-bindgen wrote (`instantiate`) into one module.

/** What Rust asked to know of itself; see `configure`. */
const names = { head: [], withheld: [], first: 0, last: 0 };

/** A request with more headers is refused, as by the native engine. */
const MOST_HEADERS = 100;

/** Characters that are shown of what a Secrets Store said. */
const MOST_SAID = 300;

/** Under this a request's `Headers` has the set of the names that are in it. */
const PRESENT = Symbol("present");

/** Statuses that allow no body (Fetch standard, 2.2.3). */
const BODILESS = new Set([101, 103, 204, 205, 304]);

/** The instance that new work goes to. */
let current;

/**
 * The instance in use; a fresh one where there is none or the last one panicked. Requests that were under way in the
 * one that panicked stay with it and normally finish.
 */
function usable() {
  if (current === undefined) {
    const instance = { exports: undefined, running: undefined, last: 0, tasks: new Map(), abandoned: undefined };
    // A request whose client has gone may be dropped by the runtime together with everything it waited for. The task
    // record is held by those waiting closures only, so that its collection tells when to drop the Rust side.
    instance.abandoned = new FinalizationRegistry((id) => {
      if (instance.tasks.delete(id)) guarded(instance, undefined, () => instance.exports.forget(id));
    });
    instance.exports = instantiate(glueFor(instance));
    current = instance;
  }
  return current;
}

/** Calls into Rust on behalf of `task`; a panic ends that task and retires the instance. */
function guarded(instance, task, call) {
  const outer = instance.running;
  instance.running = task;
  try {
    return call();
  } catch (error) {
    if (current === instance) current = undefined;
    // Where it happened was logged by the panic hook; the message may quote data, so it is not repeated here.
    console.error(`lockgate: an instance ended after ${error instanceof Error ? error.name : "an exception"}`);
    if (task !== undefined) {
      instance.tasks.delete(task.id);
      task.resolve(undefined);
    }
  } finally {
    instance.running = outer;
  }
}

/** Begins a task; resolves with what it answers, or with `undefined` if it panicked. */
function begin(instance, start) {
  return new Promise((resolve) => {
    const task = enlist(instance, resolve);
    guarded(instance, task, () => start(task.id));
  });
}

function enlist(instance, resolve) {
  const task = { id: ++instance.last, resolve };
  instance.tasks.set(task.id, new WeakRef(task));
  instance.abandoned.register(task, task.id);
  return task;
}

function finish(instance, id, value) {
  const task = instance.tasks.get(id)?.deref();
  instance.tasks.delete(id);
  task?.resolve(value);
}

/** Serves one HTTP request; `undefined` after a panic. */
function serve(request, env, ctx) {
  const instance = usable();
  const headers = request.headers;
  // To know which there are spares asking for those that there are not.
  const present = new Set();
  for (const name of headers.keys()) {
    present.add(name);
    if (present.size > MOST_HEADERS) return refusal(431, "invalid_request", "The request has too many headers.");
  }
  headers[PRESENT] = present;
  let head = `${request.method}\n${request.url}`;
  for (const name of names.head) head += present.has(name) ? `\n${headers.get(name)}` : "\n\0";
  return begin(instance, (id) => instance.exports.serve(id, head, headers, request, env, ctx));
}

/** An answer that Rust has no part in, in the shape of API.md, "Errors". */
function refusal(status, code, message) {
  const type = status < 500 ? "invalid_request_error" : "server_error";
  return Response.json({ error: { message, type, code, param: null, lockgate: {} } }, { status });
}

/** Answers one question to the authority; `undefined` after a panic. */
function authority(storage, question) {
  const instance = usable();
  return begin(instance, (id) => instance.exports.authority(id, storage, question));
}

/** Does what is due, for as long as `ctx` allows. */
function due(env, ctx) {
  const instance = usable();
  return begin(instance, (id) => instance.exports.due(id, env, ctx));
}

/** Calls `name` and `value` for each line of `lines`, which alternate. */
function pairs(lines, each) {
  if (lines === "") return;
  const parts = lines.split("\n");
  for (let at = 0; at + 1 < parts.length; at += 2) each(parts[at], parts[at + 1]);
}

/** A provider's headers less those withheld, with ours set. */
function answerHeaders(from, set, own) {
  const headers = new Headers(from);
  if (from !== undefined) {
    const connection = headers.get("connection");
    if (connection !== null) {
      for (const name of connection.split(",")) quietly(() => headers.delete(name.trim()));
    }
    for (const name of names.withheld) headers.delete(name);
    if (own) {
      headers.delete("content-length");
      headers.delete("content-encoding");
    }
  }
  const seen = new Set();
  pairs(set, (name, value) => {
    // A value that HTTP cannot carry must not cost the client its answer.
    quietly(() => (seen.has(name) ? headers.append(name, value) : headers.set(name, value)));
    seen.add(name);
  });
  return headers;
}

function quietly(call) {
  try {
    call();
  } catch {
    // Nothing depends on it.
  }
}

/** Why `fetch` failed: a letter for the kind (see `fetch.rs`) and a text for logs. */
function failure(error, late) {
  if (late) return "T";
  const text = String(error?.message ?? error);
  if (/not allowed|forbidden|blocked/i.test(text)) return `F${text}`;
  if (/refused|DNS|resolve|lookup|TLS|certificate|SSL|internal error/i.test(text)) return `U${text}`;
  return `B${text}`;
}

/**
 * A setting out of a Secrets Store, which stands for it in `env` as an object with `get`.
 * https://developers.cloudflare.com/secrets-store/integrations/workers/
 */
async function kept(binding) {
  if (typeof binding.get !== "function") throw new Error(`it is no text but ${typeof binding}; put its value in quotes`);
  let text;
  try {
    text = await binding.get();
  } catch (error) {
    const said = String(error?.message ?? error).slice(0, MOST_SAID);
    throw new Error(`the Secrets Store does not give it: ${said}`);
  }
  if (typeof text !== "string") throw new Error("the Secrets Store has no text for it");
  return text;
}

/** Sends what `fetch.rs` wrote: method, URL, the credential's name and value, then names and values to set. */
async function sent(message, from, allow, body, signal) {
  const parts = message.split("\n");
  const headers = { "accept-encoding": "identity" };
  if (from !== undefined) {
    const present = from[PRESENT];
    for (const name of allow) {
      if (present !== undefined && !present.has(name)) continue;
      const value = from.get(name);
      if (value !== null) headers[name] = value;
    }
  }
  for (let at = 2; at + 1 < parts.length; at += 2) {
    if (parts[at] !== "") headers[parts[at]] = parts[at + 1];
  }
  return fetch(parts[1], { method: parts[0], headers, body, redirect: "manual", signal });
}

/** What Rust calls; the signatures are in `glue.rs`. */
function glueFor(instance) {
  // A byte order mark belongs to the text that begins with it.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const allowed = [];

  /** Hands the outcome of `promise` to the slot that Rust waits on. */
  function settle(slot, promise) {
    const task = instance.running;
    promise.then(
      (value) => guarded(instance, task, () => instance.exports.settled(task.id, slot, true, value)),
      (error) => guarded(instance, task, () => instance.exports.settled(task.id, slot, false, error)),
    );
  }

  function respond(id, status, headers, body) {
    let response;
    try {
      response = new Response(BODILESS.has(status) ? null : body, { status, headers });
    } catch {
      response = new Response(null, { status: 502 });
    }
    const task = instance.running;
    if (task?.drained === undefined) return finish(instance, id, response);
    // The record is held weakly elsewhere, so it is named here to be kept.
    task.drained.then(() => {
      instance.tasks.delete(id);
      task.resolve(response);
    });
  }

  return {
    configure(head, withheld, first, last) {
      names.head = head.split("\n");
      names.withheld = withheld.split("\n");
      names.first = first;
      names.last = last;
    },
    log(line) {
      console.error(line);
    },
    wake(id) {
      queueMicrotask(() => {
        const task = instance.tasks.get(id)?.deref();
        if (task !== undefined) guarded(instance, task, () => instance.exports.poll(id));
      });
    },
    spawn(ctx) {
      let id;
      const work = new Promise((resolve) => {
        id = enlist(instance, resolve).id;
      });
      quietly(() => ctx.waitUntil(work));
      return id;
    },
    done(id) {
      finish(instance, id, undefined);
    },
    sleep(slot, ms) {
      const task = instance.running;
      return setTimeout(() => guarded(instance, task, () => instance.exports.settled(task.id, slot, true, undefined)), ms);
    },
    clear(timer) {
      quietly(() => clearTimeout(timer));
    },
    now() {
      return Date.now();
    },
    random(buffer) {
      crypto.getRandomValues(buffer);
    },
    variable(env, name) {
      const value = env[name];
      return typeof value === "string" ? value : undefined;
    },
    isKept(env, name) {
      return typeof (env[name] ?? "") !== "string";
    },
    kept(slot, env, name) {
      settle(slot, kept(env[name]));
    },
    header(headers, name) {
      return headers.get(name) ?? undefined;
    },
    headersOf(source) {
      return source.headers;
    },
    statusOf(response) {
      return response.status;
    },
    bytes(value) {
      return value instanceof ArrayBuffer ? new Uint8Array(value) : value;
    },
    toBody(bytes) {
      return bytes;
    },
    streamOf(source) {
      return source.body ?? undefined;
    },
    text(error) {
      return String(error?.message ?? error);
    },
    read(slot, source, limit, idleMs) {
      settle(slot, readWhole(source, limit, idleMs));
    },
    discard,
    drain(request) {
      const task = instance.running;
      if (task !== undefined) task.drained = drain(request).catch(() => {});
    },
    allow(list) {
      return allowed.push(list.split("\n")) - 1;
    },
    send(slot, message, from, allow, body, headMs) {
      const controller = new AbortController();
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        controller.abort();
      }, headMs);
      settle(slot, sent(message, from, allowed[allow], body, controller.signal).then(
        (response) => {
          clearTimeout(timer);
          response[ABORT] = controller;
          return response;
        },
        (error) => {
          clearTimeout(timer);
          throw failure(error, late);
        },
      ));
      return controller;
    },
    abort(controller) {
      quietly(() => controller.abort());
    },
    answerBytes(id, status, from, set, bytes) {
      respond(id, status, answerHeaders(from, set, true), bytes);
    },
    answerThrough(id, status, from, set, source) {
      respond(id, status, answerHeaders(from, set, false), source.body);
    },
    answerWatched(id, status, from, set, source, watcher, idleMs, ctx) {
      const headers = answerHeaders(from, set, true);
      if (source.body === null) {
        return respond(id, status, headers, told(instance, watcher, new Ends(), COMPLETE, ""));
      }
      const { readable, writable } = new IdentityTransformStream();
      ctx.waitUntil(watch(instance, source, writable, watcher, idleMs));
      respond(id, status, headers, readable);
    },
    answerFollowed(id, status, from, set, source, watcher, idleMs, ctx) {
      // What the runtime decompresses passes as that.
      const headers = answerHeaders(from, set, source.headers.get("content-encoding") !== null);
      const task = instance.running;
      ctx.waitUntil(follow(instance, source, watcher, idleMs, (body) => {
        guarded(instance, task, () => respond(id, status, headers, body));
      }));
    },
    answerTransformed(id, status, from, set, source, transform, idleMs, ctx) {
      const headers = answerHeaders(from, set, true);
      if (source.body === null) {
        const words = guarded(instance, instance.running, () => instance.exports.transformed(transform, COMPLETE, ""));
        return respond(id, status, headers, words);
      }
      const { readable, writable } = new IdentityTransformStream();
      ctx.waitUntil(rewrite(instance, source, writable, transform, idleMs));
      respond(id, status, headers, readable);
    },
    kvGet(slot, env, key) {
      settle(slot, (async () => env.SECRETS.get(key, "arrayBuffer"))());
    },
    kvPut(slot, env, key, value) {
      settle(slot, (async () => env.SECRETS.put(key, value))());
    },
    kvDelete(slot, env, key) {
      settle(slot, (async () => env.SECRETS.delete(key))());
    },
    ask(slot, env, object, question) {
      settle(slot, (async () => {
        const authority = env.AUTHORITY.get(env.AUTHORITY.idFromName(object));
        const response = await authority.fetch("http://authority/", { method: "POST", body: question });
        if (response.status !== 200) throw new Error(`the authority answered ${response.status}`);
        return response.arrayBuffer();
      })());
    },
    answerQuestion(id, answer) {
      finish(instance, id, answer);
    },
    transact(storage, body) {
      let committed = true;
      try {
        storage.transactionSync(() => {
          if (!body()) {
            committed = false;
            throw undefined;
          }
        });
      } catch (error) {
        if (committed) throw error;
      }
    },
    query(storage, sql, packed) {
      const rows = [...storage.sql.exec(sql, ...unpack(decoder, packed)).raw()];
      return pack(rows);
    },
  };
}
