// Durable Object SQL: parameters and rows as one piece of bytes each, so that a statement is one crossing.
// The other end is engine/store.rs.

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
