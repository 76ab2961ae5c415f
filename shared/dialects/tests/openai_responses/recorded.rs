//! Streams as OpenAI sent them.
