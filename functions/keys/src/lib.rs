//! The management plane, /api.
