//! The application: engine, linker, compiled components and the reuse of their instances, which follows Spin's HTTP
//! trigger: an instance takes up to [`Limits::requests`] requests, [`Limits::concurrent`] of them at once, and goes
//! after being idle for [`Limits::idle`].

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::watch;
use wasmtime::component::{Component, GuestTaskId, Linker, ResourceTable};
use wasmtime::{
    Cache, CacheConfig, Config, Engine, PoolingAllocationConfig, Store, StoreContextMut,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, InstantiationError, Proxy, ProxyHandler, ProxyPre, Request, Response,
    ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::manifest::{Manifest, Variables};
use crate::outbound::{AllowedHost, Hooks, OutboundClient};
use crate::spin::{self, Handles, KeyValue, SpinView, SqliteDatabase};
use crate::stdio::PrefixedStderr;

/// How long a request waits before it asks again for an instance when all are taken.
const INSTANCE_RETRY: Duration = Duration::from_millis(2);

/// How instances are made and reused; the defaults are Spin's.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Live instances of all components together.
    pub instances: usize,
    /// Requests an instance serves before it is dropped.
    pub requests: usize,
    /// Requests an instance serves at once.
    pub concurrent: usize,
    /// Time without work after which an instance is dropped.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instances: 1000,
            requests: 128,
            concurrent: 16,
            idle: Duration::from_secs(1),
        }
    }
}

/// What all components share.
pub(crate) struct Shared {
    pub(crate) key_value: Arc<KeyValue>,
    pub(crate) sqlite: SqliteDatabase,
    client: OutboundClient,
    limits: Limits,
    live: Arc<AtomicUsize>,
    draining: watch::Sender<bool>,
}

/// What all instances of a component share.
pub(crate) struct ComponentShared {
    pub(crate) app: Arc<Shared>,
    pub(crate) variables: Variables,
    pub(crate) key_value_stores: Vec<String>,
    pub(crate) sqlite_databases: Vec<String>,
    id: String,
    environment: BTreeMap<String, String>,
    allowed: Arc<[AllowedHost]>,
}

/// The data of one instance's store.
pub(crate) struct HostState {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    handles: Handles,
    component: Arc<ComponentShared>,
    _permit: InstancePermit,
}

impl HostState {
    fn new(component: &Arc<ComponentShared>, permit: InstancePermit) -> Self {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(PrefixedStderr::new(&component.id))
            .stderr(PrefixedStderr::new(&component.id));
        for (name, value) in &component.environment {
            wasi.env(name, value);
        }
        Self {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks: Hooks::new(component.app.client.clone(), Arc::clone(&component.allowed)),
            handles: Handles::default(),
            component: Arc::clone(component),
            _permit: permit,
        }
    }

    pub(crate) fn spin(&mut self) -> SpinView<'_> {
        SpinView {
            table: &mut self.table,
            component: &self.component,
            handles: &mut self.handles,
        }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// Counts a live instance.
struct InstancePermit(Arc<AtomicUsize>);

impl InstancePermit {
    fn take(live: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        live.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count < limit).then_some(count + 1)
        })
        .ok()?;
        Some(Self(Arc::clone(live)))
    }
}

impl Drop for InstancePermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Every instance there may be is in use.
#[derive(Debug, thiserror::Error)]
#[error("all instances are in use")]
struct NoInstance;

/// The running application.
pub struct App {
    shared: Arc<Shared>,
    manifest: Manifest,
    handlers: BTreeMap<String, ProxyHandler<ComponentHandler>>,
}

impl App {
    /// Compiles the manifest's components (or takes them from the cache in `cache`) and opens the stores in
    /// `data_dir`: `kv.sqlite` and `database.sqlite`.
    ///
    /// # Errors
    /// When a component is missing, does not compile or imports what this host does not provide, an allowed host is
    /// malformed, or the stores cannot be opened.
    pub fn load(
        manifest: Manifest,
        data_dir: &Path,
        cache: &Path,
        hide_new: Duration,
        limits: Limits,
    ) -> Result<Self> {
        std::fs::create_dir_all(data_dir)
            .with_context(|| format!("cannot make {}", data_dir.display()))?;
        let engine = engine(cache, &limits)?;
        let mut linker = Linker::<HostState>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        spin::add_to_linker(&mut linker)?;

        let shared = Arc::new(Shared {
            key_value: Arc::new(KeyValue::open(&data_dir.join("kv.sqlite"), hide_new)?),
            sqlite: SqliteDatabase::new(&data_dir.join("database.sqlite")),
            client: OutboundClient::new(),
            limits,
            live: Arc::default(),
            draining: watch::Sender::new(false),
        });
        let mut handlers = BTreeMap::new();
        for (id, component) in &manifest.components {
            let pre = compile(&linker, &component.source)
                .map_err(anyhow::Error::from)
                .with_context(|| format!("component {id:?}, {}", component.source.display()))?;
            let allowed = component
                .allowed_outbound_hosts
                .iter()
                .map(|entry| AllowedHost::parse(entry));
            let component = Arc::new(ComponentShared {
                app: Arc::clone(&shared),
                variables: component.variables.clone(),
                key_value_stores: component.key_value_stores.clone(),
                sqlite_databases: component.sqlite_databases.clone(),
                id: id.clone(),
                environment: component.environment.clone(),
                allowed: allowed.collect::<Result<_>>()?,
            });
            let handler = ComponentHandler {
                engine: engine.clone(),
                pre: ProxyPre::P3(pre),
                component,
            };
            handlers.insert(id.clone(), ProxyHandler::new(handler));
        }
        Ok(Self {
            shared,
            manifest,
            handlers,
        })
    }

    /// The manifest the application was loaded from.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Has an instance of `component` handle the request.
    ///
    /// # Errors
    /// When the guest answered with an error code or trapped.
    pub(crate) async fn handle(
        &self,
        component: &str,
        mut request: Request,
    ) -> wasmtime::Result<Response> {
        let Some(handler) = self.handlers.get(component) else {
            return Err(wasmtime::format_err!("unknown component"));
        };
        loop {
            let error = match handler.handle((), request).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            // Nothing else tells that an instance has become free: the request went with the failed instantiation.
            let refused = error.downcast::<InstantiationError<()>>()?;
            if !refused.error.is::<NoInstance>() {
                return Err(wasmtime::format_err!("{:?}", refused.error));
            }
            request = refused
                .request
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            tokio::time::sleep(INSTANCE_RETRY).await;
        }
    }

    /// Lets idle instances go and waits until the others, which may still run background tasks, have gone too.
    pub(crate) async fn drained(&self) {
        self.shared.draining.send_replace(true);
        while self.shared.live.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn compile(linker: &Linker<HostState>, source: &Path) -> wasmtime::Result<ServicePre<HostState>> {
    let component = Component::from_file(linker.engine(), source)?;
    ServicePre::new(linker.instantiate_pre(&component)?)
}

fn engine(cache: &Path, limits: &Limits) -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    // The pool costs no memory until it is used and saves 10 to 15 % of a request's CPU, as measured with a component
    // that only answers. A component is a handful of core instances with one memory and a few tables between them.
    let cores_per_instance = 8;
    let count = u32::try_from(limits.instances).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(count)
        .total_core_instances(count.saturating_mul(cores_per_instance))
        .total_memories(count.saturating_mul(2))
        .total_tables(count.saturating_mul(cores_per_instance))
        .total_stacks(count.saturating_mul(2));
    config.allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool));
    std::fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let mut cache_config = CacheConfig::new();
    cache_config.with_directory(std::path::absolute(cache)?);
    config.cache(Some(Cache::new(cache_config)?));
    Ok(Engine::new(&config)?)
}

struct ComponentHandler {
    engine: Engine,
    pre: ProxyPre<HostState>,
    component: Arc<ComponentShared>,
}

impl HandlerState for ComponentHandler {
    type StoreData = HostState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<HostState, Expiration, Worker>> {
        let app = &self.component.app;
        let permit = InstancePermit::take(&app.live, app.limits.instances).ok_or(NoInstance)?;
        let mut store = Store::new(&self.engine, HostState::new(&self.component, permit));
        let proxy: Proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: HostState::http,
            expiration: Expiration::new(app.limits.idle, app.draining.subscribe()),
            state: Worker {
                id: self.component.id.clone(),
                limits: app.limits,
            },
        })
    }
}

/// Ends an instance that has been idle for long enough, or at once when the host is draining. Requests and background
/// tasks may run for as long as they like, as in Spin without a request timeout.
struct Expiration {
    idle: Duration,
    sleep: Pin<Box<tokio::time::Sleep>>,
    draining: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    drain: bool,
}

impl Expiration {
    fn new(idle: Duration, mut draining: watch::Receiver<bool>) -> Self {
        Self {
            idle,
            sleep: Box::pin(tokio::time::sleep(idle)),
            draining: Box::pin(async move {
                // An error means that the application is gone, which ends instances just the same.
                _ = draining.wait_for(|draining| *draining).await;
            }),
            drain: false,
        }
    }
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        since: Instant,
    ) -> Poll<()> {
        let this = &mut *self;
        this.drain = this.drain || this.draining.as_mut().poll(cx).is_ready();
        match status {
            WorkerStatus::Requests | WorkerStatus::PostReturn => Poll::Pending,
            WorkerStatus::Idle if this.drain => Poll::Ready(()),
            WorkerStatus::Idle => {
                let deadline = tokio::time::Instant::from_std(since + this.idle);
                if this.sleep.deadline() != deadline {
                    this.sleep.as_mut().reset(deadline);
                }
                this.sleep.as_mut().poll(cx)
            }
        }
    }
}

struct Worker {
    id: String,
    limits: Limits,
}

impl WorkerState for Worker {
    type StoreData = HostState;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.limits.requests {
            ShouldAccept::Never
        } else if concurrent >= self.limits.concurrent {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _store: StoreContextMut<'_, HostState>,
        _data: (),
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<HostState>, result: wasmtime::Result<()>) {
        drop(store);
        if let Err(error) = result {
            eprintln!("wasi-host: an instance of {} failed: {error:?}", self.id);
        }
    }
}
