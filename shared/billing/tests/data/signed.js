// Prints vectors signed by the official SDKs of npm: npm i stripe standardwebhooks; node signed.js
const Stripe=require('stripe'); const {Webhook}=require('standardwebhooks');
const stripe=new (Stripe.default||Stripe)('sk_test_x');
const V=JSON.parse(require('fs').readFileSync('node_modules/stripe/package.json')).version, W=JSON.parse(require('fs').readFileSync('node_modules/standardwebhooks/package.json')).version;
const bodies=['{"id":"evt_1","object":"event"}','{\n  "id": "evt_2",\n  "description": "Grüße – 日本"\n}\n'];
const out={stripe:[],standard:[]};
for(const b of bodies)for(const t of [1,1614265330,1790000000]){
 for(const s of ['whsec_test_secret','whsec_8f1c0d2b7e6a4c59b3d2e1f00a9b8c7d'])
  out.stripe.push({by:`npm stripe ${V}, webhooks.generateTestHeaderString`,secret:s,body:b,at:t,header:stripe.webhooks.generateTestHeaderString({payload:b,secret:s,timestamp:t})});
 const s='whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
 out.standard.push({by:`npm standardwebhooks ${W}, Webhook.sign`,secret:s,id:'msg_p5jXN8AQM9LWM0D4loKWxJek',body:b,at:t,signature:new Webhook(s).sign('msg_p5jXN8AQM9LWM0D4loKWxJek',new Date(t*1000),b)});
}
console.log(JSON.stringify(out));
