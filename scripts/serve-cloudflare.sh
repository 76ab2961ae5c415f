#!/usr/bin/env bash
# Serves build/cloudflare on bare workerd in the foreground, with KV and Durable Objects kept in a folder.
#
#   scripts/serve-cloudflare.sh --port N --data-dir D [--workers M] [--kv-hide-new-ms MS] [--due-port N] [--secrets-store F]
#
# Settings come from the environment (API.md, "Settings"); they are handed to workerd by name, so none is written to disk.
# --workers M        M Worker services, each an isolate of its own, over one set of Durable Objects and one KV, on ports N, N+1, …
# --kv-hide-new-ms   KV answers "not found" for entries younger than this, as the real one may for a minute
# --secrets-store    a folder that plays a Secrets Store: each setting that a file is named after is bound to it instead of being a
#                    text, and each `get()` reads the file anew
# --due-port         bare workerd has no cron triggers: each request to this port does the scheduled work that one would begin
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

port=8787 data='' workers=1 hide=0 due=0 store=''
while [ $# -gt 0 ]; do
  case $1 in
    --port) port=$2 ;;
    --data-dir) data=$2 ;;
    --workers) workers=$2 ;;
    --kv-hide-new-ms) hide=$2 ;;
    --due-port) due=$2 ;;
    --secrets-store) store=$(cd "$2" && pwd) || exit 2 ;;
    *) echo "unknown option: $1" >&2; exit 2 ;;
  esac
  shift 2
done
[ -n "$data" ] || { echo "--data-dir is required" >&2; exit 2; }

bundle=${LOCKGATE_BUILD_OUT:-$root/build/cloudflare}
[ -f "$bundle/index.js" ] || { echo "build it first: scripts/build cloudflare" >&2; exit 1; }
workerd=$(ls "$root"/node_modules/@cloudflare/workerd-*/bin/workerd 2>/dev/null | head -n 1)
[ -n "$workerd" ] || { echo "workerd is missing: npm ci" >&2; exit 1; }

mkdir -p "$data/objects"
data=$(cd "$data" && pwd)

# Every setting: out of the store, or as a binding that reads it from the environment.
settings=''
if [ -n "$store" ]; then
  for secret in "$store"/*; do
    [ -e "$secret" ] || continue
    name=${secret##*/}
    settings+="    (name = \"$name\", service = (name = \"secrets\", entrypoint = \"Secret\", props = (json = \"{\\\"name\\\":\\\"$name\\\"}\"))),"$'\n'
  done
fi
while IFS= read -r name; do
  [ -z "$store" ] || [ ! -e "$store/$name" ] || continue
  settings+="    (name = \"$name\", fromEnvironment = \"$name\"),"$'\n'
done < <(compgen -e | grep -E '^(LOCKGATE|STRIPE|STANDARD_WEBHOOK|OTEL)_[A-Z0-9_]+$' | grep -v '^LOCKGATE_BUILD_')

services='' sockets=''
for ((i = 0; i < workers; i++)); do
  # The first one's class is everybody's authority.
  [ "$i" = 0 ] && worker=.gateway || worker=.peer
  services+="    (name = \"gateway$i\", worker = $worker),"$'\n'
  sockets+="    (name = \"http$i\", address = \"127.0.0.1:$((port + i))\", http = (), service = \"gateway$i\"),"$'\n'
done

if [ -n "$store" ]; then
  services+='    (name = "secrets", worker = .secrets),'$'\n'
  services+="    (name = \"secret-files\", disk = (path = \"$store\")),"$'\n'
fi

if [ "$due" != 0 ]; then
  services+='    (name = "cron", worker = .cron),'$'\n'
  sockets+="    (name = \"due\", address = \"127.0.0.1:$due\", http = (), service = \"cron\"),"$'\n'
fi

config=$data/workerd.capnp
cat >"$config" <<END
# Written by scripts/serve-cloudflare.sh.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
$services    (name = "kv", worker = .kv),
    (name = "objects", disk = (path = "$data/objects", writable = true)),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [
$sockets  ],
);

const modules :List(Workerd.Worker.Module) = [
  (name = "index.js", esModule = embed "bundle/index.js"),
  (name = "index_bg.wasm", wasm = embed "bundle/index_bg.wasm"),
];

const gateway :Workerd.Worker = (
  modules = .modules,
  compatibilityDate = "2026-04-01",
  bindings = [
$settings    (name = "SECRETS", kvNamespace = "kv"),
    (name = "AUTHORITY", durableObjectNamespace = "Authority"),
  ],
  durableObjectNamespaces = [(className = "Authority", uniqueKey = "lockgate-authority", enableSql = true)],
  durableObjectStorage = (localDisk = "objects"),
);

const peer :Workerd.Worker = (
  modules = .modules,
  compatibilityDate = "2026-04-01",
  bindings = [
$settings    (name = "SECRETS", kvNamespace = "kv"),
    (name = "AUTHORITY", durableObjectNamespace = (className = "Authority", serviceName = "gateway0")),
  ],
);

const cron :Workerd.Worker = (
  modules = [(name = "cron.js", esModule = embed "cron.js")],
  compatibilityDate = "2026-04-01",
  compatibilityFlags = ["service_binding_extra_handlers"],
  bindings = [(name = "GATEWAY", service = "gateway0")],
);

const secrets :Workerd.Worker = (
  modules = [(name = "secrets.js", esModule = embed "secrets.js")],
  compatibilityDate = "2026-04-01",
  bindings = [(name = "FILES", service = "secret-files")],
);

const kv :Workerd.Worker = (
  modules = [(name = "kv.js", esModule = embed "kv.js")],
  compatibilityDate = "2026-04-01",
  bindings = [
    (name = "HIDE_NEW_MS", text = "$hide"),
    (name = "ENTRIES", durableObjectNamespace = "Entries"),
  ],
  durableObjectNamespaces = [(className = "Entries", uniqueKey = "lockgate-kv", enableSql = true)],
  durableObjectStorage = (localDisk = "objects"),
);
END
ln -sfn "$bundle" "$data/bundle"

# What a KV binding talks to: GET, PUT and DELETE of /<key>.
cat >"$data/kv.js" <<'END'
export default {
  fetch(request, env) {
    return env.ENTRIES.get(env.ENTRIES.idFromName("all")).fetch(request);
  },
};

export class Entries {
  constructor(state, env) {
    this.sql = state.storage.sql;
    this.hide = Number(env.HIDE_NEW_MS);
    this.sql.exec("CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, written INTEGER NOT NULL)");
  }

  async fetch(request) {
    const url = new URL(request.url);
    const key = url.searchParams.get("urlencoded") === "true" ? decodeURIComponent(url.pathname.slice(1)) : url.pathname.slice(1);
    switch (request.method) {
      case "GET": {
        const [row] = this.sql.exec("SELECT value, written FROM entries WHERE key = ?", key);
        if (row === undefined || Date.now() - row.written < this.hide) return new Response(null, { status: 404 });
        return new Response(row.value);
      }
      case "PUT":
        this.sql.exec("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", key, await request.arrayBuffer(), Date.now());
        return new Response(null, { status: 204 });
      case "DELETE":
        this.sql.exec("DELETE FROM entries WHERE key = ?", key);
        return new Response(null, { status: 204 });
      default:
        return new Response(null, { status: 405 });
    }
  }
}
END

# What a Secrets Store binding is: an object with an asynchronous `get`, which throws where there is no such secret.
cat >"$data/secrets.js" <<'END'
import { WorkerEntrypoint } from "cloudflare:workers";

export class Secret extends WorkerEntrypoint {
  async get() {
    const { name } = this.ctx.props;
    const file = await this.env.FILES.fetch(`http://files/${name}`);
    if (file.status !== 200) throw new Error(`Secret "${name}" not found`);
    return file.text();
  }
}

export default {};
END

# What begins the scheduled work, as the cron trigger of wrangler.toml does.
cat >"$data/cron.js" <<'END'
export default {
  async fetch(_request, env) {
    const { outcome } = await env.GATEWAY.scheduled({ scheduledTime: new Date(), cron: "*/5 * * * *" });
    return new Response(outcome, { status: outcome === "ok" ? 200 : 500 });
  },
};
END

# workerd reports each socket on its control channel once it listens; after that one request makes the Worker start.
coproc control { exec "$workerd" serve --experimental --control-fd=3 "$config" 3>&1 1>&2; }
server=$control_PID
trap 'kill -TERM "$server" 2>/dev/null' TERM INT
for ((i = 0; i < workers + (due != 0); i++)); do
  IFS= read -r line <&"${control[0]}" || { wait "$server"; exit 1; }
done
exec 9<>"/dev/tcp/127.0.0.1/$port"
printf 'GET / HTTP/1.0\r\n\r\n' >&9
IFS= read -r line <&9
exec 9>&-
echo "listening on http://127.0.0.1:$port"
code=0
wait "$server" || code=$?
# A signal interrupts the wait; the second one gets how the server really ended.
wait "$server" 2>/dev/null || code=$?
[ "$code" = 143 ] && code=0
exit "$code"
