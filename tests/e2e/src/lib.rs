//! The end-to-end suite: the same tests over HTTP against every engine.
