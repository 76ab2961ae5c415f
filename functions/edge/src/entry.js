
// What the runtime calls: the Worker's fetch handler, its cron trigger, and the authority's Durable Object.

export default {
  async fetch(request, env, ctx) {
    const response = await serve(request, env, ctx);
    return response ?? refusal(500, "internal_error", "The gateway made a mistake with this request. It is safe to try again.");
  },

  async scheduled(_controller, env, ctx) {
    await due(env, ctx);
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
