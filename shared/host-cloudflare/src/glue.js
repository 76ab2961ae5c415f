// The Cloudflare engine's JavaScript half. The Rust half (shared/host-cloudflare/src) calls what `glueFor` returns, and is
// called through `instance.exports`. It exists to cross between the two as rarely as possible: one crossing for a
// request's head, one to send, one to answer; bodies do not cross unless Rust reads them.
//
// No function that Rust calls may throw, unless it is declared with `catch` there: an exception would leave Rust in the
// middle of a call, as a panic does.

/** What Rust asked to know of itself; see `configure`. */
const names = { head: [], withheld: [], tail: 0 };

/** Bodies that are neither short nor of known length are read in pieces of this size. */
const PIECE = 65536;

/** How often a body that is followed is looked at. */
const LOOK_MS = 250;

/** How long a body's branch may go on after the body could not be passed, before that is taken to be the client's doing. */
const DOUBT_MS = 50;
const MOST_DOUBT_MS = 1000;

/** A request with more headers is refused, as by the native engine. */
const MOST_HEADERS = 100;

/** Under this a request's `Headers` has the set of the names that are in it. */
const PRESENT = Symbol("present");

/** An upload that is refused unread is read out all the same, so far and so long, since many clients read the answer last. */
const DRAIN_BYTES = 64 << 20;
const DRAIN_MS = 5000;

/** How a followed body ended; the numbers are those of `ended` in `answer.rs`. */
const COMPLETE = 0;
const BROKEN = 1;
const IDLE = 2;
const CLIENT_LEFT = 3;

/** Under this a provider's `Response` has the controller that ends it. */
const ABORT = Symbol("abort");

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

/** Gives up a body unread, so that its connection does not linger. */
function discard(source) {
  source.body?.cancel().catch(() => {});
}

/** Reads the rest of an upload and throws it away. */
async function drain(request) {
  if (request.bodyUsed || request.body === null) return;
  const reader = request.body.getReader({ mode: "byob" });
  const until = Date.now() + DRAIN_MS;
  let buffer = new ArrayBuffer(PIECE);
  for (let left = DRAIN_BYTES; left > 0 && Date.now() < until; ) {
    const { value, done } = await within(reader.read(new Uint8Array(buffer)), DRAIN_MS);
    if (done) return;
    left -= value.length;
    buffer = value.buffer;
  }
}

/** Rejects with `"I"` when `promise` takes longer than `ms`. */
async function within(promise, ms) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject("I"), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Reads a body whole; rejects with a letter for the kind of failure (see `fetch.rs`) and a text for logs. */
async function readWhole(source, limit, idleMs) {
  const length = source.headers.get("content-length");
  if (length !== null && source.headers.get("content-encoding") === null) {
    if (Number(length) > limit) {
      if (idleMs > 0) discard(source);
      throw "L";
    }
    // A client's pace is the runtime's business, so there is nothing to watch between its pieces.
    if (idleMs === 0) return new Uint8Array(await source.arrayBuffer());
  }
  if (source.body === null) return new Uint8Array(0);

  const reader = source.body.getReader({ mode: "byob" });
  const pieces = [];
  let total = 0;
  for (;;) {
    const reading = reader.read(new Uint8Array(PIECE));
    const { value, done } = idleMs === 0 ? await reading : await within(reading, idleMs);
    if (done) break;
    total += value.length;
    if (total > limit) {
      reader.cancel().catch(() => {});
      throw "L";
    }
    pieces.push(value);
  }
  if (pieces.length === 1) return pieces[0];
  const whole = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/**
 * Follows a body while it passes to the client, and tells Rust how it ended. The runtime passes the body itself, which
 * costs a fifth of reading and writing it here; `preventAbort` and `preventClose` leave the client's side open, so that
 * last words can be said. What passes is looked at on a branch beside it, in large pieces and not for every event. That
 * branch is read seldom, because a read of an empty branch pulls from the provider: at most one piece each time, so that
 * a client that stands still holds the provider back.
 *
 * `preventAbort` is kept by workerd of 2026-11 (that of 2026-04 put the client's side in error all the same).
 */
async function follow(instance, source, writable, watch, idleMs) {
  const [through, aside] = source.body.tee();
  let passed = false;
  let how = COMPLETE;
  let hurry = () => {};
  let doubt;
  let lastFull = 0;

  const passing = through.pipeTo(writable, { preventClose: true, preventAbort: true }).then(
    () => undefined,
    (error) => {
      // The error reads the same whether the provider or the client has gone. If it was the provider, the branch beside
      // ends in the same moment, or once its remainder has been read; if it goes on, it was the client.
      if (how === COMPLETE) how = BROKEN;
      const since = Date.now();
      doubt = setInterval(() => {
        const now = Date.now();
        if (now - lastFull < DOUBT_MS && now - since < MOST_DOUBT_MS) return;
        how = CLIENT_LEFT;
        source[ABORT].abort();
      }, DOUBT_MS);
      return String(error?.message ?? error);
    },
  ).finally(() => {
    passed = true;
    hurry();
  });

  let tail = new Uint8Array(0);
  let total = 0;
  const seeing = (async () => {
    const reader = aside.getReader({ mode: "byob" });
    let buffer = new ArrayBuffer(PIECE);
    const pause = Math.min(LOOK_MS, idleMs / 2);
    for (;;) {
      if (!passed) {
        let timer;
        await new Promise((resolve) => {
          hurry = resolve;
          timer = setTimeout(resolve, pause);
        });
        clearTimeout(timer);
      }
      for (let full = true; full; ) {
        const timer = setTimeout(() => {
          how = IDLE;
          source[ABORT].abort();
        }, idleMs);
        const { value, done } = await reader.read(new Uint8Array(buffer)).finally(() => clearTimeout(timer));
        if (done) return true;
        total += value.length;
        tail = lastBytes(tail, value);
        buffer = value.buffer;
        full = value.length === PIECE;
        if (full) lastFull = Date.now();
      }
    }
  })().catch(() => false);

  const detail = await passing;
  const whole = await seeing;
  clearInterval(doubt);
  if (whole && how === BROKEN) how = CLIENT_LEFT;

  const words = guarded(instance, undefined, () =>
    instance.exports.ended(watch, tail, total, how, how === BROKEN ? detail : ""),
  );
  try {
    const writer = writable.getWriter();
    if (words !== undefined && how !== CLIENT_LEFT) await writer.write(words);
    await writer.close();
  } catch {
    // The client has gone; nobody is left to tell.
  }
}

/** The last bytes, as many as Rust wants to see, of `before` followed by `piece`; a copy. */
function lastBytes(before, piece) {
  if (piece.length >= names.tail) return piece.slice(-names.tail);
  const kept = before.subarray(Math.max(0, before.length + piece.length - names.tail));
  const joined = new Uint8Array(kept.length + piece.length);
  joined.set(kept);
  joined.set(piece, kept.length);
  return joined;
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
  const decoder = new TextDecoder();
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
    configure(head, withheld, tail) {
      names.head = head.split("\n");
      names.withheld = withheld.split("\n");
      names.tail = tail;
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
    answerWatched(id, status, from, set, source, watch, idleMs, ctx) {
      const headers = answerHeaders(from, set, true);
      if (source.body === null) {
        const words = guarded(instance, instance.running, () => instance.exports.ended(watch, new Uint8Array(0), 0, COMPLETE, ""));
        return respond(id, status, headers, words);
      }
      const { readable, writable } = new IdentityTransformStream();
      ctx.waitUntil(follow(instance, source, writable, watch, idleMs));
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

const encoder = new TextEncoder();

/** SQL parameters out of the form that `store.rs` packs them in. */
function unpack(decoder, packed) {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const values = [];
  for (let at = 0; at < packed.length; ) {
    const kind = packed[at++];
    if (kind === 0) {
      values.push(null);
    } else if (kind === 1 || kind === 2) {
      values.push(view.getFloat64(at, true));
      at += 8;
    } else {
      const length = view.getUint32(at, true);
      at += 4;
      const bytes = packed.subarray(at, at + length);
      values.push(kind === 3 ? decoder.decode(bytes) : bytes.slice().buffer);
      at += length;
    }
  }
  return values;
}

/** Rows in the form that `store.rs` reads: per row the count of its values, then per value its kind and content. */
function pack(rows) {
  let bytes = new Uint8Array(256);
  let view = new DataView(bytes.buffer);
  let at = 0;
  const room = (more) => {
    if (at + more <= bytes.length) return;
    const larger = new Uint8Array(Math.max(bytes.length * 2, at + more));
    larger.set(bytes.subarray(0, at));
    bytes = larger;
    view = new DataView(bytes.buffer);
  };
  for (const row of rows) {
    room(4);
    view.setUint32(at, row.length, true);
    at += 4;
    for (const value of row) {
      if (typeof value === "string") {
        room(5 + value.length * 3);
        const { written } = encoder.encodeInto(value, bytes.subarray(at + 5));
        bytes[at] = 3;
        view.setUint32(at + 1, written, true);
        at += 5 + written;
      } else if (typeof value === "number") {
        room(9);
        bytes[at] = Number.isInteger(value) ? 1 : 2;
        view.setFloat64(at + 1, value, true);
        at += 9;
      } else if (value === null) {
        room(1);
        bytes[at++] = 0;
      } else {
        room(5 + value.byteLength);
        bytes[at] = 4;
        view.setUint32(at + 1, value.byteLength, true);
        bytes.set(new Uint8Array(value), at + 5);
        at += 5 + value.byteLength;
      }
    }
  }
  return bytes.subarray(0, at);
}
