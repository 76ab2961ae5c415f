//! The measurements: the gateway beside its engine's floor, in one run.
