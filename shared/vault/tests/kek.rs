//! Reading a KEK from a setting: every encoding that is accepted, and what is said about those that are not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use lockgate_vault::{Kek, KekError};
use proptest::prelude::*;

/// The bytes 0 to 31.
const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn kek() -> Kek {
    Kek::parse(HEX).unwrap()
}

#[test]
fn accepts_each_encoding() {
    let same = [
        HEX.to_owned(),
        HEX.to_uppercase(),
        BASE64.to_owned(),
        BASE64.trim_end_matches('=').to_owned(),
        format!("  {BASE64}\r\n"),
        format!("\t{HEX}\n"),
    ];
    for text in same {
        assert_eq!(*Kek::parse(&text).unwrap().to_base64(), BASE64, "{text:?}");
    }
    // Bytes whose base64 differs between the two alphabets.
    let standard = "++//++//++//++//++//++//++//++//++//++//++8=";
    for text in [
        standard.to_owned(),
        standard.trim_end_matches('=').to_owned(),
        standard.replace('+', "-").replace('/', "_"),
        standard
            .replace('+', "-")
            .replace('/', "_")
            .replace('=', ""),
    ] {
        assert_eq!(
            *Kek::parse(&text).unwrap().to_base64(),
            standard,
            "{text:?}"
        );
    }
}

#[test]
fn refuses_the_rest_and_says_what_was_found() {
    const WANTED: &str = "LOCKGATE_KEK must be 32 bytes in base64 or hex; ";
    for (text, found) in [
        ("", "it is empty"),
        (" \n", "it is empty"),
        (
            "AAECAwQFBgcICQoLDA0ODw==",
            "it decodes as base64 to 16 bytes",
        ),
        ("AAECAwQFBgcICQoLDA0ODw", "it decodes as base64 to 16 bytes"),
        ("/w==", "it decodes as base64 to 1 byte"),
        (
            "000102030405060708090a0b0c0d0e0f",
            "it decodes as hex to 16 bytes",
        ),
        (
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
            "it decodes as hex to 31 bytes",
        ),
        (
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
            "it decodes as hex to 33 bytes",
        ),
        (
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",
            "it decodes as base64 to 33 bytes",
        ),
        (
            "correct horse battery staple",
            "it is text of 28 characters that is neither",
        ),
        (
            "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"",
            "it is text of 46 characters that is neither",
        ),
        (
            "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "it is text of 66 characters that is neither",
        ),
        // Both alphabets in one text; too much padding; bits beyond the last byte; whitespace inside.
        (
            "++//++//++//++//++//++//++//++//++//++//+-8=",
            "it is text of 44 characters that is neither",
        ),
        (
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==",
            "it is text of 45 characters that is neither",
        ),
        (
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",
            "it is text of 44 characters that is neither",
        ),
        (
            "AAECAwQFBgcICQoLDA0O DxAREhMUFRYXGBkaGxwdHh8=",
            "it is text of 45 characters that is neither",
        ),
        ("ключ", "it is text of 4 characters that is neither"),
        ("!", "it is text of 1 character that is neither"),
    ] {
        let error = Kek::parse(text).unwrap_err();
        assert_eq!(error.to_string(), format!("{WANTED}{found}"), "{text:?}");
    }
}

#[test]
fn errors_carry_no_value() {
    let typo = format!("{}!", "S3CR3T".repeat(7));
    for text in ["S3CR3T00", typo.as_str()] {
        let error = Kek::parse(text).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("S3CR3T"),
            "{error:?}"
        );
    }
    assert_eq!(Kek::parse(" ").unwrap_err(), KekError::Empty);
}

#[test]
fn derived_values_never_change() {
    // Computed with another implementation of HKDF (RFC 5869). What is stored depends on them.
    let kek = kek();
    assert_eq!(kek.id(), "kek_a50c92f2b0b7c85e");
    assert_eq!(
        kek.check_value(),
        "427f6fea650b9e3d962294763d7c9d52ce32b56af18fc5b59100288c569db5c2"
    );
    assert_eq!(
        data_encoding::HEXLOWER.encode(kek.derive("cache").as_slice()),
        "acbd4001e2373bc9a60d853ecb3db3ba433e10163e6877724a14dc84820a5d75"
    );
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", kek()), "Kek(kek_a50c92f2b0b7c85e)");
}

#[test]
fn a_store_knows_its_kek() {
    let other = Kek::generate(&mut |out| out.fill(7));
    assert!(kek().is_the_one_checked_by(&kek().check_value()));
    assert!(!other.is_the_one_checked_by(&kek().check_value()));
    assert!(!kek().is_the_one_checked_by(""));
    assert_ne!(kek().id(), other.id());
    assert_ne!(*kek().derive("a"), *kek().derive("b"));
    assert_ne!(*kek().derive("a"), *other.derive("a"));
}

proptest! {
    #[test]
    fn generated_keks_survive_their_file(bytes: [u8; 32]) {
        let kek = Kek::generate(&mut |out| out.copy_from_slice(&bytes));
        let read = Kek::parse(&kek.to_base64()).unwrap();
        prop_assert_eq!(read.check_value(), kek.check_value());
        prop_assert_eq!(&*read.to_base64(), &data_encoding::BASE64.encode(&bytes));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        let _ = Kek::parse(&text);
    }
}
