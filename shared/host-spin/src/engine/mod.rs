//! The engine itself; see the crate's documentation.

mod body;
mod database;
mod fetch;
mod headers;
mod keyvalue;
mod pump;
mod rewrite;
mod serve;
mod system;
mod wait;

pub use body::{Payload, SpinBody};
pub use database::SpinDatabase;
pub use headers::SpinHeaders;
pub use serve::serve;
/// For [`export`](crate::export): the bindings that the component's entry is generated from.
pub use spin_sdk::wasip3;

use lockgate_host::{Authority, Host, StoreError};

/// The Spin engine. It has no state of its own: what an instance keeps is kept in its statics.
#[derive(Debug, Clone, Copy, Default)]
pub struct SpinHost {
    database: SpinDatabase,
}

impl Host for SpinHost {
    const ENGINE: &'static str = "spin";
}

impl Authority for SpinHost {
    type Database = SpinDatabase;

    fn database(&self) -> Option<&SpinDatabase> {
        Some(&self.database)
    }

    async fn ask(&self, _object: &str, _question: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::Unavailable(
            "the authority's database is at hand on this engine".to_owned(),
        ))
    }

    /// Always `None`: other instances serve from the same database and share no memory with this one.
    fn epoch(&self) -> Option<u64> {
        None
    }

    fn advance_epoch(&self) {}
}

/// Makes the crate a component that answers HTTP with `$handle`, a function
/// `async fn(&SpinHost, Incoming<SpinHost>) -> Answer<SpinHost>`.
#[macro_export]
macro_rules! export {
    ($handle:path) => {
        struct Component;

        $crate::wasip3::http::service::export!(Component);

        impl $crate::wasip3::exports::http::handler::Guest for Component {
            async fn handle(
                request: $crate::wasip3::http::types::Request,
            ) -> Result<
                $crate::wasip3::http::types::Response,
                $crate::wasip3::http::types::ErrorCode,
            > {
                // An error from here would be an empty 500, so there is none.
                Ok($crate::serve(request, async |host, incoming| $handle(host, incoming).await).await)
            }
        }
    };
}
