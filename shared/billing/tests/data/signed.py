# Prints vectors signed by the official SDKs of PyPI: pip install stripe standardwebhooks; python signed.py
import base64
import json
from datetime import datetime, timezone
from importlib.metadata import version

from standardwebhooks import Webhook
from stripe import WebhookSignature

BODIES = ['{"id":"evt_1","object":"event"}', "", '{\n  "id": "evt_2",\n  "description": "Grüße – 日本"\n}\n']
TIMES = [0, 1614265330, 1790000000]
STRIPE = ["whsec_test_secret", "whsec_8f1c0d2b7e6a4c59b3d2e1f00a9b8c7d"]
STANDARD = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_" + base64.b64encode(bytes(range(64))).decode(),
]
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"

out = {"stripe": [], "standard": []}
for body in BODIES:
    for at in TIMES:
        for secret in STRIPE:
            out["stripe"].append({
                "by": f"PyPI stripe {version('stripe')}, WebhookSignature.generate_signature_header",
                "secret": secret, "body": body, "at": at,
                "header": WebhookSignature.generate_signature_header(body, secret, timestamp=at),
            })
        for secret in STANDARD:
            out["standard"].append({
                "by": f"PyPI standardwebhooks {version('standardwebhooks')}, Webhook.sign",
                "secret": secret, "id": ID, "body": body, "at": at,
                "signature": Webhook(secret).sign(ID, datetime.fromtimestamp(at, tz=timezone.utc), body),
            })
print(json.dumps(out))
