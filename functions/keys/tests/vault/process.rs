//! A process of the gateway: an engine over a [`World`], with an isolate's memory of its own, that may be ended anywhere.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lockgate_host::{
    AnswerBody, Authority, Background, Clock, Database, Fetch, FetchError, Headers, Host, Inbound,
    Incoming, KeyValue, Method, Misconfigured, Outbound, OutboundBody, Random, ReadError,
    StoreError, Tx, TxKind, Variables,
};
use mock_vault::Ask;
use serde_json::Value;

use crate::site::{ADMIN_TOKEN, Site};
use crate::sqlite::now;
use crate::world::{Fault, State, World};

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// What a process keeps in its memory.
struct Memory {
    world: World,
    site: Site,
    ended: Cell<bool>,
    background: RefCell<Vec<Work>>,
}

/// The engine. Everything it does to the world is one step.
#[derive(Clone)]
pub(crate) struct SimHost {
    memory: Rc<Memory>,
    database: Store,
}

/// The database as the engine has it.
#[derive(Clone)]
pub(crate) struct Store(Rc<Memory>);

/// Runs a process with the settings of a site, in a thread of its own, so that it remembers nothing of another one. `None` where
/// it was killed before it came to the end of its work; what it does beside that may be cut short all the same.
pub(crate) fn run<T: Send>(
    world: &World,
    site: &Site,
    work: impl AsyncFnOnce(SimHost) -> T + Send,
) -> Option<T> {
    let inside = || {
        let memory = Rc::new(Memory {
            world: world.clone(),
            site: site.clone(),
            ended: Cell::new(false),
            background: RefCell::default(),
        });
        let host = SimHost {
            memory: memory.clone(),
            database: Store(memory.clone()),
        };
        let mut context = Context::from_waker(Waker::noop());
        let done = match pin!(work(host)).poll(&mut context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        };
        while !memory.ended.get() {
            let Some(mut beside) = memory.background.borrow_mut().pop() else {
                break;
            };
            let end = beside.as_mut().poll(&mut context);
            assert!(end.is_ready() || memory.ended.get(), "it waits for nothing");
        }
        assert!(done.is_some() || memory.ended.get(), "it waits for nothing");
        // What is under way holds the memory that it is in.
        memory.background.borrow_mut().clear();
        done
    };
    std::thread::scope(|scope| match scope.spawn(inside).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// The same where nothing goes wrong.
pub(crate) fn sound<T: Send>(
    world: &World,
    site: &Site,
    work: impl AsyncFnOnce(SimHost) -> T + Send,
) -> T {
    run(world, site, work).unwrap()
}

impl SimHost {
    /// A call to the management plane: the status and the JSON of its answer.
    pub(crate) async fn call(&self, workspace: &str, call: &str, body: Value) -> (u16, Value) {
        let (method, path) = call.split_once(' ').unwrap();
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path, None),
        };
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let request = Incoming {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            path: path.to_owned(),
            query,
            headers: Map(vec![
                ("authorization", bearer),
                ("lockgate-workspace", workspace.to_owned()),
            ]),
            body: match body {
                Value::Null => Vec::new(),
                body => body.to_string().into_bytes(),
            },
        };
        let answer = lockgate_keys::handle(self, request).await;
        let AnswerBody::Bytes(bytes) = answer.body else {
            panic!("the management plane answers bytes");
        };
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (answer.status, json)
    }
}

impl Memory {
    async fn step<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut State) -> T,
    ) -> Result<T, &'static str> {
        if self.ended.get() {
            return pending().await;
        }
        let fault = self.world.held().step(name);
        match fault {
            None => Ok(work(&mut self.world.held())),
            Some(Fault::Killed) => {
                self.ended.set(true);
                pending().await
            }
            Some(Fault::Fails | Fault::Away) => Err("it fails"),
            Some(Fault::Unheard) => {
                work(&mut self.world.held());
                Err("the answer is lost")
            }
        }
    }
}

fn unavailable(why: &str) -> StoreError {
    StoreError::Unavailable(why.to_owned())
}

impl Database for Store {
    async fn transact<T, E>(
        &self,
        kind: TxKind,
        body: impl FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let name = format!("{kind:?} transaction");
        let work = |state: &mut State| now(state.database.transact(kind, body));
        match self.0.step(&name, work).await {
            Ok(done) => done,
            Err(why) => Err(unavailable(why).into()),
        }
    }
}

impl Authority for SimHost {
    type Database = Store;

    fn database(&self) -> Option<&Store> {
        Some(&self.database)
    }

    async fn ask(&self, _object: &str, _question: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        Err(unavailable("the database is at hand"))
    }

    fn epoch(&self) -> Option<u64> {
        None
    }

    fn advance_epoch(&self) {}
}

impl KeyValue for SimHost {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let read = |state: &mut State| match state.kv_blind {
            true => None,
            false => state.kv.get(key).cloned(),
        };
        self.memory.step("KV get", read).await.map_err(unavailable)
    }

    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let write = |state: &mut State| state.kv.insert(key.to_owned(), value.to_owned());
        let before = self
            .memory
            .step("KV put", write)
            .await
            .map_err(unavailable)?;
        assert_eq!(before, None, "an entry is written once");
        Ok(())
    }

    async fn kv_delete(&self, key: &str) -> Result<(), StoreError> {
        let remove = |state: &mut State| drop(state.kv.remove(key));
        self.memory
            .step("KV delete", remove)
            .await
            .map_err(unavailable)
    }
}

impl Clock for SimHost {
    fn now_ms(&self) -> u64 {
        self.memory.world.held().now_ms
    }

    fn monotonic_ms(&self) -> u64 {
        self.now_ms()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        let memory = self.memory.clone();
        let ms = u64::try_from(duration.as_millis()).unwrap();
        async move {
            // It cannot fail; but a process can end in it.
            let _ = memory.step("sleep", |_| ()).await;
            memory.world.pass(ms);
        }
    }
}

impl Random for SimHost {
    fn random(&self, buffer: &mut [u8]) {
        self.memory.world.held().random(buffer);
    }
}

impl Variables for SimHost {
    async fn variable(&self, name: &'static str) -> Result<Option<String>, Misconfigured> {
        Ok(self.memory.site.setting(name))
    }
}

impl Background for SimHost {
    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.memory.background.borrow_mut().push(Box::pin(work));
    }
}

/// Headers of a request.
pub(crate) struct Map(Vec<(&'static str, String)>);

impl Headers for Map {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut all = self.0.iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str().into())
    }
}

impl Fetch for SimHost {
    type Headers = Map;
    type Body = Vec<u8>;
    type Payload = Vec<u8>;

    async fn read(&self, body: Vec<u8>, _limit: usize) -> Result<Vec<u8>, ReadError> {
        Ok(body)
    }

    async fn fetch(&self, outbound: Outbound<'_, Self>) -> Result<Inbound<Self>, FetchError> {
        let set = outbound.set.iter();
        let mut headers: Vec<(String, String)> = set
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        if let Some(sent) = &outbound.credential {
            let value = format!("{}{}", sent.prefix, sent.secret.expose_str().unwrap());
            headers.push((sent.header.to_owned(), value));
        }
        let after = outbound.url.split("://").nth(1).unwrap();
        let ask = Ask {
            method: outbound.method.to_string(),
            path: after[after.find('/').unwrap()..].to_owned(),
            headers,
            body: match outbound.body {
                OutboundBody::Bytes(bytes) => bytes,
                _ => Vec::new(),
            },
        };
        let url = outbound.url;
        let name = format!("{} {url}", ask.method);
        let answered = self
            .memory
            .step(&name, |state| match state.service(url, &ask) {
                Some(answer) => (answer.status, answer.body),
                // A provider, who takes every key.
                None => {
                    let key = ask.header("authorization").unwrap_or_default();
                    state.sent.push(key.replace("Bearer ", ""));
                    (200, Value::Null)
                }
            });
        let (status, body) = match answered.await {
            Ok(answered) => answered,
            Err(why) => return Err(FetchError::Broken(why.to_owned())),
        };
        Ok(Inbound {
            status,
            headers: Map(Vec::new()),
            body: match body {
                Value::Null => Vec::new(),
                body => body.to_string().into_bytes(),
            },
        })
    }
}

impl Host for SimHost {
    const ENGINE: &'static str = "simulation";
}
