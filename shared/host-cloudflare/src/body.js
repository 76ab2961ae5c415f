// Bodies that the engine has to do with: uploads and answers read whole, refused uploads read out, and bodies that are
// watched, followed or rewritten on their way to the client.

/** Bodies that are neither short nor of known length are read in pieces of this size. */
const PIECE = 65536;

/** Pieces that follow each other within so many milliseconds are a burst, of which so many make it worth gathering them. */
const BURST_MS = 2;
const BURST_PIECES = 4;

/** A followed body of at most so many bytes is read whole, where its length is known. */
const MOST_WHOLE = 131072;

/** How often a watched body is looked at. */
const LOOK_MS = 250;

/** How long a body's branch may go on after the body could not be passed, before that is taken to be the client's doing. */
const DOUBT_MS = 50;
const MOST_DOUBT_MS = 1000;

/** An upload that is refused unread is read out all the same, so far and so long, since many clients read the answer last. */
const DRAIN_BYTES = 64 << 20;
const DRAIN_MS = 5000;

/** How a body ended; the numbers are those of `ended` in `answer.rs`. */
const COMPLETE = 0;
const BROKEN = 1;
const IDLE = 2;
const CLIENT_LEFT = 3;

/** What is left of a call into Rust that panicked. */
const PANICKED = { out: undefined };

/** In the place of last words: what the client got is not all, and must not be taken for it. */
const LOST = Symbol("lost");

/** Under this a provider's `Response` has the controller that ends it. */
const ABORT = Symbol("abort");

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

/** The first and last bytes of a body that is not kept, as many as Rust wants to see. */
class Ends {
  head = new Uint8Array(0);
  tail = this.head;
  total = 0;

  /** Takes note of a piece, of which nothing is referred to afterwards. */
  push(piece) {
    const missing = names.first - this.head.length;
    if (missing > 0) this.head = joined(this.head, piece.subarray(0, missing));
    this.tail =
      piece.length >= names.last
        ? piece.slice(-names.last)
        : joined(this.tail.subarray(Math.max(0, this.tail.length + piece.length - names.last)), piece);
    this.total += piece.length;
  }

  /** The ends of a body that is at hand. */
  static of(whole) {
    return { head: whole.subarray(0, names.first), tail: whole.subarray(-names.last), total: whole.length };
  }
}

function joined(before, after) {
  const both = new Uint8Array(before.length + after.length);
  both.set(before);
  both.set(after, before.length);
  return both;
}

/** Tells a watcher how its body ended; returns its last words. */
function told(instance, watcher, { head, tail, total }, how, detail) {
  return guarded(instance, undefined, () =>
    instance.exports.ended(watcher, head, tail, total, how, how === BROKEN ? detail : ""),
  );
}

/**
 * Passes a body on as it is and tells Rust what its ends were. `respond` is given what is to be the answer's body.
 *
 * A read is what costs here, since each waits for the runtime once more. So a body that is known to be short is read in
 * one go, and the head of the answer waits for it; the others are pumped (docs/decisions/0012).
 */
async function follow(instance, source, watcher, idleMs, respond) {
  if (source.body === null) {
    respond(null);
    return told(instance, watcher, new Ends(), COMPLETE, "");
  }
  const length = announced(source);
  if (length <= MOST_WHOLE) return followWhole(instance, source, length, watcher, idleMs, respond);

  const { readable, writable } = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  respond(readable);
  const ends = new Ends();
  const each = (piece) => {
    ends.push(piece);
    return piece;
  };
  await pump(source, writable, idleMs, each, (how, detail) => {
    told(instance, watcher, ends, how, detail);
    return how === COMPLETE ? undefined : LOST;
  });
}

async function followWhole(instance, source, length, watcher, idleMs, respond) {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    source[ABORT].abort();
  }, idleMs);
  let whole;
  let detail = "";
  try {
    whole = new Uint8Array(await source.arrayBuffer());
  } catch (error) {
    detail = String(error?.message ?? error);
  }
  clearTimeout(timer);
  if (whole !== undefined) {
    // An answer to HEAD says a length and has nothing.
    respond(whole.length === 0 ? null : whole);
    return told(instance, watcher, Ends.of(whole), COMPLETE, "");
  }
  const { readable, writable } = new FixedLengthStream(length);
  respond(readable);
  told(instance, watcher, new Ends(), late ? IDLE : BROKEN, detail);
  return lose(writable.getWriter()).catch(() => {});
}

/** Breaks the client's connection off, once the head of the answer has gone. */
async function lose(writer) {
  await scheduler.wait(1);
  await writer.abort(new Error("the rest of the answer is lost"));
}

/** How many bytes the body will have; `undefined` where that is not known, as with one that the runtime decompresses. */
function announced(source) {
  const length = source.headers.get("content-length");
  return length === null || source.headers.get("content-encoding") !== null ? undefined : Number(length);
}

/**
 * Watches a body while it passes to the client, and tells Rust how it ended. The runtime passes the body itself, which
 * costs a fifth of reading and writing it here; `preventAbort` and `preventClose` leave the client's side open, so that
 * last words can be said. What passes is looked at on a branch beside it, in large pieces and not for every event. That
 * branch is read seldom, because a read of an empty branch pulls from the provider: at most one piece each time, so that
 * a client that stands still holds the provider back.
 *
 * `preventAbort` is kept by workerd of 2026-11 (that of 2026-04 put the client's side in error all the same).
 */
async function watch(instance, source, writable, watcher, idleMs) {
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

  const ends = new Ends();
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
        ends.push(value);
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

  const words = told(instance, watcher, ends, how, detail);
  try {
    const writer = writable.getWriter();
    if (words !== undefined && how !== CLIENT_LEFT) await writer.write(words);
    await writer.close();
  } catch {
    // The client has gone; nobody is left to tell.
  }
}

/**
 * A provider's body, read as it comes. The runtime hands over what came in one chunk of HTTP, which in most streams is one
 * event, and a read costs many times what rewriting the event does. So in a burst the body is read ahead natively for a
 * moment: on one branch by a read that asks for much and does nothing with it, while what passed gathers on the other, to
 * be read in one piece. Streams without bursts do without the branches, and none is read ahead by more than twice `PIECE`.
 */
class Pieces {
  #body;
  #reader;
  #buffer = new ArrayBuffer(PIECE);
  #branched = false;
  #taken = 0;
  #took = () => {};
  #last = 0;
  #quick = 0;

  constructor(body) {
    this.#body = body;
    this.#reader = body.getReader({ mode: "byob" });
  }

  /** The next piece, which is good until the one after it is asked for; `undefined` at the end. */
  async next() {
    if (this.#quick >= BURST_PIECES) await this.#gather();
    const { value, done } = await this.#reader.read(new Uint8Array(this.#buffer));
    if (done) return undefined;
    this.#buffer = value.buffer;
    this.#taken += value.length;
    this.#took();
    const now = Date.now();
    // Of a large piece there is nothing to gain by waiting for it to grow.
    this.#quick = now - this.#last > BURST_MS || value.length > PIECE / 2 ? 0 : this.#quick + 1;
    this.#last = now;
    return value;
  }

  async #gather() {
    if (!this.#branched) {
      this.#branched = true;
      this.#reader.releaseLock();
      const [ahead, main] = this.#body.tee();
      this.#reader = main.getReader({ mode: "byob" });
      this.#taken = 0;
      // That branch ends as the other one does, which tells why.
      this.#readAhead(ahead).catch(() => {});
    }
    await scheduler.wait(BURST_MS);
    this.#last = Date.now();
    this.#quick = BURST_PIECES - 1;
  }

  async #readAhead(branch) {
    const { readable, writable } = new IdentityTransformStream();
    branch.pipeTo(writable).catch(() => {});
    const reader = readable.getReader({ mode: "byob" });
    let buffer = new ArrayBuffer(PIECE);
    for (let passed = 0; ; ) {
      const { value, done } = await reader.readAtLeast(PIECE, new Uint8Array(buffer));
      if (done) return;
      buffer = value.buffer;
      passed += value.length;
      while (this.#taken < passed) {
        await new Promise((resolve) => {
          this.#took = resolve;
        });
      }
    }
  }
}

/**
 * Passes to the client what `each` makes of a body's pieces, which is `undefined` once it has enough. A piece is read only
 * when the client has taken what the one before it became. `ended` is told how it ended and says the last words.
 *
 * workerd tells of a client that left when something is written to it, and not before: while the provider is silent the
 * idle timeout is what ends its request.
 */
async function pump(source, writable, idleMs, each, ended) {
  const pieces = new Pieces(source.body);
  const writer = writable.getWriter();
  let how = COMPLETE;
  let detail = "";
  let waiting = false;
  let looks = 0;
  const giveUp = (why) => {
    if (how === COMPLETE) how = why;
    source[ABORT].abort();
  };
  // One timer that is looked at, instead of one for each piece; so silence is measured to within a quarter.
  const watchdog = setInterval(() => {
    looks = waiting ? looks + 1 : 0;
    if (looks > 4) giveUp(IDLE);
  }, idleMs / 4);
  writer.closed.catch(() => giveUp(CLIENT_LEFT));

  try {
    for (;;) {
      looks = 0;
      waiting = true;
      const piece = await pieces.next();
      waiting = false;
      if (piece === undefined) break;
      const out = each(piece);
      if (out === undefined) {
        source[ABORT].abort();
        break;
      }
      if (out.length > 0) await writer.write(out).catch(() => giveUp(CLIENT_LEFT));
    }
  } catch (error) {
    if (how === COMPLETE) how = BROKEN;
    detail = String(error?.message ?? error);
  }
  clearInterval(watchdog);

  const words = ended(how, detail);
  try {
    if (words === LOST) return await lose(writer);
    if (words?.length > 0 && how !== CLIENT_LEFT) await writer.write(words);
    await writer.close();
  } catch {
    // The client has gone; nobody is left to tell.
  }
}

/** Passes to the client what Rust makes of a body: one crossing and one write for a piece, however many events are in it. */
function rewrite(instance, source, writable, transform, idleMs) {
  // Wrapped, since `undefined` is Rust's word for "enough" as well as what is left of a panic.
  const ask = (call) => guarded(instance, undefined, () => ({ out: call() })) ?? PANICKED;
  let made;
  const each = (piece) => {
    made = ask(() => instance.exports.transform(transform, piece));
    return made.out;
  };
  return pump(source, writable, idleMs, each, (how, detail) => {
    if (made !== PANICKED) {
      made = ask(() => instance.exports.transformed(transform, how, how === BROKEN ? detail : ""));
    }
    return made === PANICKED ? LOST : made.out;
  });
}
