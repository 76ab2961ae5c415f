//! The traits an engine provides, and the body types that pass between engine and functions.
