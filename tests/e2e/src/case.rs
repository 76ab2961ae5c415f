//! What a test of the suite is, and what it is given.

use std::sync::{OnceLock, PoisonError, RwLock};

use crate::gateway::{Engine, Gateway, Plan};
use crate::stores;
use crate::tenant::MARK;

/// One test, run once for each engine.
pub(crate) struct Case {
    pub(crate) name: String,
    test: Box<dyn Fn(&Env) + Send>,
    /// It starts, stops or reads the files of gateways.
    pub(crate) needs_process: bool,
    /// It measures times or loads the machine, so nothing else runs meanwhile.
    alone: bool,
}

impl Case {
    pub(crate) fn new(name: String, test: impl Fn(&Env) + Send + 'static) -> Self {
        Self {
            name,
            test: Box::new(test),
            needs_process: false,
            alone: false,
        }
    }

    pub(crate) fn process(mut self) -> Self {
        self.needs_process = true;
        self
    }

    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    pub(crate) fn run(&self, env: &Env) {
        static MACHINE: RwLock<()> = RwLock::new(());
        if self.alone {
            let _all = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
            (self.test)(env);
        } else {
            let _share = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
            (self.test)(env);
        }
    }
}

/// Names tests after their module and function.
macro_rules! cases {
    ($module:literal: $($test:ident $([$($flag:ident),+])?),+ $(,)?) => {
        vec![$(
            $crate::case::Case::new(concat!($module, "::", stringify!($test)).to_owned(), $test)$($(.$flag())+)?
        ),+]
    };
}
pub(crate) use cases;

/// An engine, and the gateway on it that most tests share.
pub(crate) struct Env {
    pub(crate) engine: Engine,
    shared: OnceLock<Result<Gateway, String>>,
    crowd: OnceLock<Result<Gateway, String>>,
    owns_process: bool,
}

impl Env {
    /// Starts its gateway when the first test asks for it.
    pub(crate) fn starting(engine: Engine) -> Self {
        Self {
            engine,
            shared: OnceLock::new(),
            crowd: OnceLock::new(),
            owns_process: true,
        }
    }

    /// With a gateway that is up already.
    pub(crate) fn running(gateway: Gateway) -> Self {
        Self {
            engine: gateway.engine,
            shared: OnceLock::from(Ok(gateway)),
            crowd: OnceLock::new(),
            owns_process: false,
        }
    }

    pub(crate) fn owns_process(&self) -> bool {
        self.owns_process
    }

    /// The shared gateway.
    pub(crate) fn gateway(&self) -> &Gateway {
        started(&self.shared, || Plan::new(self.engine))
    }

    /// Another one, which serves from several isolates; for tests that need the process.
    pub(crate) fn crowd(&self) -> &Gateway {
        started(&self.crowd, || Plan::new(self.engine).several())
    }

    /// A plan for a gateway of the test's own.
    pub(crate) fn plan(&self) -> Plan {
        Plan::new(self.engine)
    }

    /// Ends the shared gateways; returns what their logs and files should not have: panics, and secrets of any test.
    pub(crate) fn finish(&self) -> Vec<String> {
        if !self.owns_process {
            return Vec::new();
        }
        let shared = [&self.shared, &self.crowd].into_iter();
        let shared = shared.filter_map(|slot| slot.get()?.as_ref().ok());
        shared.flat_map(faults).collect()
    }
}

fn started(slot: &OnceLock<Result<Gateway, String>>, plan: impl FnOnce() -> Plan) -> &Gateway {
    let started = slot.get_or_init(|| match plan().attempt() {
        crate::gateway::Started::Listening(gateway) => Ok(gateway),
        crate::gateway::Started::Refused { status, printed } => {
            Err(format!("the gateway did not start ({status}):\n{printed}"))
        }
    });
    match started {
        Ok(gateway) => gateway,
        Err(why) => panic!("{why}"),
    }
}

fn faults(gateway: &Gateway) -> Vec<String> {
    gateway.end();
    let mut faults: Vec<String> = gateway
        .panics()
        .into_iter()
        .map(|line| format!("panicked: {line}"))
        .collect();
    let data = gateway.data();
    if stores::holds(data.printed().as_bytes(), MARK) {
        faults.push("a secret is in the log".to_owned());
    }
    for file in stores::holders(&data.path(), MARK) {
        faults.push(format!("a secret is in {}", file.display()));
    }
    faults
}
