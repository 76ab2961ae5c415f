
// What the runtime calls: the Worker's fetch handler and the authority's Durable Object.

const PANICKED = JSON.stringify({
  error: {
    message: "The gateway made a mistake while it handled this request. It is safe to try again.",
    type: "api_error",
    code: "internal_error",
    param: null,
    lockgate: {},
  },
});

export default {
  async fetch(request, env, ctx) {
    const response = await serve(request, env, ctx);
    return response ?? new Response(PANICKED, { status: 500, headers: { "content-type": "application/json" } });
  },
};

/** The authority over one workspace, or the registry: one object each, found by name. */
export class Authority {
  #storage;

  constructor(state) {
    this.#storage = state.storage;
  }

  async fetch(request) {
    const question = new Uint8Array(await request.arrayBuffer());
    const answer = await authority(this.#storage, question);
    return answer === undefined ? new Response(null, { status: 500 }) : new Response(answer);
  }
}
