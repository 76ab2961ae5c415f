// Prints vectors signed by the official SDKs of npm: npm i stripe standardwebhooks; node signed.js
const fs = require("fs");
const Stripe = require("stripe");
const { Webhook } = require("standardwebhooks");

const version = (name) => JSON.parse(fs.readFileSync(`node_modules/${name}/package.json`)).version;
const stripe = new (Stripe.default || Stripe)("sk_test_x");
const bodies = ['{"id":"evt_1","object":"event"}', '{\n  "id": "evt_2",\n  "description": "Grüße – 日本"\n}\n'];
const id = "msg_p5jXN8AQM9LWM0D4loKWxJek";

const out = { stripe: [], standard: [] };
for (const body of bodies) {
  for (const at of [1, 1614265330, 1790000000]) {
    for (const secret of ["whsec_test_secret", "whsec_8f1c0d2b7e6a4c59b3d2e1f00a9b8c7d"]) {
      out.stripe.push({
        by: `npm stripe ${version("stripe")}, webhooks.generateTestHeaderString`,
        secret, body, at,
        header: stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: at }),
      });
    }
    const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    out.standard.push({
      by: `npm standardwebhooks ${version("standardwebhooks")}, Webhook.sign`,
      secret, id, body, at,
      signature: new Webhook(secret).sign(id, new Date(at * 1000), body),
    });
  }
}
console.log(JSON.stringify(out));
