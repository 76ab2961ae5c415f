# Prints vectors signed by the official SDKs of PyPI: pip install stripe standardwebhooks; python signed.py
import base64, json
from importlib.metadata import version
from datetime import datetime, timezone
import standardwebhooks
from stripe import WebhookSignature
bodies = ['{"id":"evt_1","object":"event"}', '', '{\n  "id": "evt_2",\n  "description": "Grüße – 日本"\n}\n']
times=[0, 1614265330, 1790000000]
out={"stripe":[], "standard":[]}
for b in bodies:
  for t in times:
    for s in ["whsec_test_secret","whsec_8f1c0d2b7e6a4c59b3d2e1f00a9b8c7d"]:
      out["stripe"].append({"by":f"PyPI stripe {version('stripe')}, WebhookSignature.generate_signature_header","secret":s,"body":b,"at":t,"header":WebhookSignature.generate_signature_header(b,s,timestamp=t)})
for b in bodies:
  for t in times:
    for s in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","whsec_"+base64.b64encode(bytes(range(64))).decode()]:
      sig=standardwebhooks.Webhook(s).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(t,tz=timezone.utc), b)
      out["standard"].append({"by":f"PyPI standardwebhooks {version('standardwebhooks')}, Webhook.sign","secret":s,"id":"msg_p5jXN8AQM9LWM0D4loKWxJek","body":b,"at":t,"signature":sig})
print(json.dumps(out))
