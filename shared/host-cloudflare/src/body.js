// Bodies that the engine has to do with: uploads and answers read whole, refused uploads read out, and streams that are
// followed or rewritten on their way to the client.

/** Bodies that are neither short nor of known length are read in pieces of this size. */
const PIECE = 65536;

/** Pieces that follow each other within so many milliseconds are a burst, of which so many make it worth gathering them. */
const BURST_MS = 2;
const BURST_PIECES = 4;

/** How often a body that is followed is looked at. */
const LOOK_MS = 250;

/** How long a body's branch may go on after the body could not be passed, before that is taken to be the client's doing. */
const DOUBT_MS = 50;
const MOST_DOUBT_MS = 1000;

/** An upload that is refused unread is read out all the same, so far and so long, since many clients read the answer last. */
const DRAIN_BYTES = 64 << 20;
const DRAIN_MS = 5000;

/** How a followed body ended; the numbers are those of `ended` in `answer.rs`. */
const COMPLETE = 0;
const BROKEN = 1;
const IDLE = 2;
const CLIENT_LEFT = 3;

/** What is left of a call into Rust that panicked. */
const PANICKED = { out: undefined };

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
 * Passes to the client what Rust makes of a body: one crossing and one write for a piece, however many events are in it. A
 * piece is read only when the client has taken what the one before it became.
 *
 * workerd tells of a client that left when something is written to it, and not before: while the provider is silent the
 * idle timeout is what ends its request.
 */
async function rewrite(instance, source, writable, transform, idleMs) {
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

  // Wrapped, since `undefined` is Rust's word for "enough" as well as what is left of a panic.
  const ask = (call) => guarded(instance, undefined, () => ({ out: call() })) ?? PANICKED;
  let made;
  try {
    for (;;) {
      looks = 0;
      waiting = true;
      const piece = await pieces.next();
      waiting = false;
      if (piece === undefined) break;
      made = ask(() => instance.exports.transform(transform, piece));
      if (made.out === undefined) {
        source[ABORT].abort();
        break;
      }
      if (made.out.length > 0) await writer.write(made.out).catch(() => giveUp(CLIENT_LEFT));
    }
  } catch (error) {
    if (how === COMPLETE) how = BROKEN;
    detail = String(error?.message ?? error);
  }
  clearInterval(watchdog);

  if (made !== PANICKED) {
    made = ask(() => instance.exports.transformed(transform, how, how === BROKEN ? detail : ""));
  }
  try {
    // A client that got less than all must not take it for all.
    if (made === PANICKED) return await writer.abort(new Error("the rest of the answer is lost"));
    if (made.out?.length > 0 && how !== CLIENT_LEFT) await writer.write(made.out);
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
