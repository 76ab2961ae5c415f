//! Envelope encryption of provider keys, and where the key-encryption key comes from.
