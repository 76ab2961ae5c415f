//! The Cloudflare Worker: mounts the functions by route and hosts the authority's Durable Object.
