// The floor that the gateway on workerd is measured against: the least a Worker can do that is still a gateway. It reads
// the body, looks at `model`, sends the body on to PROVIDER_URL, and returns the answer as it is.
export default {
  async fetch(request, env) {
    const body = await request.arrayBuffer();
    const { model } = JSON.parse(new TextDecoder().decode(body));
    if (typeof model !== "string") return new Response("model is missing", { status: 400 });
    const url = new URL(request.url);
    return fetch(env.PROVIDER_URL + url.pathname + url.search, {
      method: "POST",
      headers: {
        "content-type": request.headers.get("content-type") ?? "application/json",
        authorization: `Bearer ${env.PROVIDER_KEY}`,
      },
      body,
    });
  },
};
