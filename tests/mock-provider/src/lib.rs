//! A provider that records what it receives and misbehaves on request. A test tool.
