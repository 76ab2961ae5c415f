//! The Cloudflare engine: fetch, KV and Durable Objects behind the host traits.
