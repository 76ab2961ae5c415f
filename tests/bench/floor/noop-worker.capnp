# Serves noop-worker.js on bare workerd:
#   PROVIDER_URL=http://127.0.0.1:9000 PROVIDER_KEY=x workerd serve --socket-addr=http=127.0.0.1:8799 noop-worker.capnp
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "noop", worker = .noop),
    (name = "internet", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "http", http = (), service = "noop")],
);

const noop :Workerd.Worker = (
  modules = [(name = "noop-worker.js", esModule = embed "noop-worker.js")],
  compatibilityDate = "2026-04-01",
  bindings = [
    (name = "PROVIDER_URL", fromEnvironment = "PROVIDER_URL"),
    (name = "PROVIDER_KEY", fromEnvironment = "PROVIDER_KEY"),
  ],
);
