//! Which targets are left alone for a while (FEATURES C3): those whose provider has failed again and again, and keys whose
//! provider has asked for it. Known to this isolate only.

use lockgate_host::Host;
use lockgate_routing::Failed;
use lockgate_workspace::plan::Cause;
use lockgate_workspace::snapshot::KeyPointer;

use crate::target::Target;

/// A try has failed.
pub(crate) fn failed<H: Host>(
    _host: &H,
    _target: &Target<'_>,
    _key: &KeyPointer,
    _failed: &Failed,
) {
}

/// A try has worked.
pub(crate) fn worked(_target: &Target<'_>, _key: &KeyPointer) {}

/// Why a target is left alone now, if it is.
pub(crate) fn out<H: Host>(
    _host: &H,
    _who: &lockgate_routing::Caller,
    _target: &Target<'_>,
) -> Option<Cause> {
    None
}

/// Whether a key is left alone now.
pub(crate) fn rests<H: Host>(_host: &H, _key: &KeyPointer) -> bool {
    false
}
