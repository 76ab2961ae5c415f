//! A sealed secret opens with its KEK and its binding, and in no other way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use data_encoding::HEXLOWER;
use lockgate_host::Secret;
use lockgate_vault::{Binding, Kek, MAX_SECRET_BYTES, OpenError, SealError, Sealed, open, seal};
use proptest::prelude::*;

const BINDING: Binding<'static> = Binding {
    workspace: "ws_1",
    provider: "openai",
    key_id: "pk_1",
    version: 3,
};
const SECRET: &[u8] = b"sk-golden-0123456789";

/// Counts up, so that a test is the same each time and no two draws are alike.
fn counter() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u8;
    move |out| {
        for byte in out {
            *byte = next;
            next = next.wrapping_add(1);
        }
    }
}

fn kek() -> Kek {
    Kek::generate(&mut counter())
}

fn sealed(binding: &Binding<'_>, random: &mut dyn FnMut(&mut [u8])) -> Sealed {
    seal(&kek(), binding, &Secret::new(SECRET.to_vec()), random).unwrap()
}

fn opened(binding: &Binding<'_>, wrapped: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, OpenError> {
    open(&kek(), binding, wrapped, ciphertext).map(|secret| secret.expose().to_vec())
}

#[test]
fn the_format_never_changes() {
    // Made with another implementation (Python's `cryptography`). What is stored must open for ever.
    let ciphertext = "01202122232425262728292a2ba1518b1703f47e6b745172fff32bc0cce67ed4a5b79dc97c56899c0cb227a4b8746ecea1";
    let wrapped = "012c2d2e2f303132333435363780a60421d3bc8a7817b3205652a65d6414e73c36cd7eec8b4b52c2ac1c11a1b9f919985b33bd02f4792cc63fa2961328";
    let sealed = sealed(&BINDING, &mut counter());
    assert_eq!(HEXLOWER.encode(&sealed.ciphertext), ciphertext);
    assert_eq!(HEXLOWER.encode(&sealed.wrapped), wrapped);
    assert_eq!(sealed.kek_id, "kek_a50c92f2b0b7c85e");
    assert_eq!(
        opened(&BINDING, &sealed.wrapped, &sealed.ciphertext).unwrap(),
        SECRET
    );
}

#[test]
fn any_flipped_bit_is_noticed() {
    let whole = sealed(&BINDING, &mut counter());
    for bit in 0..whole.ciphertext.len() * 8 {
        let mut altered = whole.ciphertext.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 8 {
            OpenError::UnknownFormat { format: altered[0] }
        } else {
            OpenError::Altered
        };
        assert_eq!(opened(&BINDING, &whole.wrapped, &altered), Err(expected));
    }
    for bit in 0..whole.wrapped.len() * 8 {
        let mut altered = whole.wrapped.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 8 {
            OpenError::UnknownFormat { format: altered[0] }
        } else {
            OpenError::WrongKekOrBinding
        };
        assert_eq!(opened(&BINDING, &altered, &whole.ciphertext), Err(expected));
    }
}

#[test]
fn any_cut_or_addition_is_noticed() {
    let whole = sealed(&BINDING, &mut counter());
    for length in 0..whole.ciphertext.len() {
        let expected = if length < 29 {
            OpenError::Truncated
        } else {
            OpenError::Altered
        };
        let cut = &whole.ciphertext[..length];
        assert_eq!(opened(&BINDING, &whole.wrapped, cut), Err(expected));
    }
    for length in 0..whole.wrapped.len() {
        let cut = &whole.wrapped[..length];
        assert_eq!(
            opened(&BINDING, cut, &whole.ciphertext),
            Err(OpenError::Truncated)
        );
    }
    let more = |blob: &[u8]| [blob, &[0]].concat();
    assert_eq!(
        opened(&BINDING, &whole.wrapped, &more(&whole.ciphertext)),
        Err(OpenError::Altered)
    );
    assert_eq!(
        opened(&BINDING, &more(&whole.wrapped), &whole.ciphertext),
        Err(OpenError::WrongKekOrBinding)
    );
}

#[test]
fn another_binding_does_not_open_it() {
    let whole = sealed(&BINDING, &mut counter());
    let others = [
        Binding {
            workspace: "ws_2",
            ..BINDING
        },
        Binding {
            workspace: "",
            ..BINDING
        },
        Binding {
            provider: "mistral",
            ..BINDING
        },
        Binding {
            provider: "OpenAI",
            ..BINDING
        },
        Binding {
            key_id: "pk_2",
            ..BINDING
        },
        Binding {
            key_id: "pk_1 ",
            ..BINDING
        },
        Binding {
            version: 2,
            ..BINDING
        },
        Binding {
            version: 4,
            ..BINDING
        },
        Binding {
            version: 3 << 32,
            ..BINDING
        },
        // The same text, cut differently.
        Binding {
            workspace: "ws_1o",
            provider: "penai",
            ..BINDING
        },
        Binding {
            provider: "openaip",
            key_id: "k_1",
            ..BINDING
        },
    ];
    for other in others {
        assert_eq!(
            opened(&other, &whole.wrapped, &whole.ciphertext),
            Err(OpenError::WrongKekOrBinding),
            "{other:?}"
        );
    }
}

#[test]
fn parts_of_two_sealed_secrets_do_not_mix() {
    let random = &mut counter();
    let first = sealed(&BINDING, random);
    let again = sealed(&BINDING, random);
    let next = Binding {
        version: 4,
        ..BINDING
    };
    let second = sealed(&next, random);
    // The same secret under the same binding: a data key of its own all the same.
    assert_eq!(
        opened(&BINDING, &first.wrapped, &again.ciphertext),
        Err(OpenError::Altered)
    );
    assert_eq!(
        opened(&BINDING, &second.wrapped, &first.ciphertext),
        Err(OpenError::WrongKekOrBinding)
    );
    assert_eq!(
        opened(&BINDING, &first.wrapped, &second.ciphertext),
        Err(OpenError::Altered)
    );
    assert_eq!(
        opened(&next, &first.wrapped, &second.ciphertext),
        Err(OpenError::WrongKekOrBinding)
    );
    // The two blobs in each other's place.
    assert_eq!(
        opened(&BINDING, &first.ciphertext, &first.wrapped),
        Err(OpenError::Truncated)
    );
    assert_eq!(
        opened(&BINDING, &first.wrapped, &first.wrapped),
        Err(OpenError::Altered)
    );
}

#[test]
fn a_data_key_does_not_pass_for_a_secret_nor_a_secret_for_a_data_key() {
    // A secret of exactly a data key's length, so that only the authenticated data tells them apart.
    let secret = Secret::new(vec![b'x'; 32]);
    let sealed = seal(&kek(), &BINDING, &secret, &mut counter()).unwrap();
    assert_eq!(sealed.ciphertext.len(), sealed.wrapped.len());
    assert_eq!(
        opened(&BINDING, &sealed.ciphertext, &sealed.wrapped),
        Err(OpenError::WrongKekOrBinding)
    );
}

#[test]
fn another_kek_does_not_open_it() {
    let whole = sealed(&BINDING, &mut counter());
    let other = Kek::generate(&mut |out| out.fill(9));
    let error = open(&other, &BINDING, &whole.wrapped, &whole.ciphertext).unwrap_err();
    assert_eq!(error, OpenError::WrongKekOrBinding);
    assert_ne!(other.id(), whole.kek_id);
}

#[test]
fn lengths_have_limits() {
    let seal = |bytes: usize| {
        seal(
            &kek(),
            &BINDING,
            &Secret::new(vec![b'x'; bytes]),
            &mut counter(),
        )
    };
    assert_eq!(seal(0).unwrap_err(), SealError::Empty);
    let longest = seal(MAX_SECRET_BYTES).unwrap();
    assert_eq!(
        opened(&BINDING, &longest.wrapped, &longest.ciphertext)
            .unwrap()
            .len(),
        MAX_SECRET_BYTES
    );
    assert_eq!(
        seal(MAX_SECRET_BYTES + 1).unwrap_err().to_string(),
        "the secret has 65537 bytes, more than the 65536 that can be sealed"
    );
}

#[test]
fn errors_are_readable() {
    for (error, text) in [
        (OpenError::UnknownFormat { format: 2 }, "unknown format 2"),
        (OpenError::WrongKekOrBinding, "another key-encryption key"),
        (OpenError::Altered, "was altered"),
        (OpenError::Truncated, "cut short"),
    ] {
        assert!(error.to_string().contains(text), "{error}");
    }
}

proptest! {
    #[test]
    fn round_trip(
        root: [u8; 32],
        workspace in "\\PC{0,20}",
        provider in "\\PC{0,20}",
        key_id in "\\PC{0,20}",
        version: u64,
        secret in proptest::collection::vec(any::<u8>(), 1..3000),
        seed: u8,
    ) {
        let kek = Kek::generate(&mut |out| out.copy_from_slice(&root));
        let binding = Binding { workspace: &workspace, provider: &provider, key_id: &key_id, version };
        let mut next = seed;
        let mut random = |out: &mut [u8]| for byte in out {
            next = next.wrapping_mul(5).wrapping_add(1);
            *byte = next;
        };
        let sealed = seal(&kek, &binding, &Secret::new(secret.clone()), &mut random).unwrap();
        prop_assert!(secret.len() < 8 || !sealed.ciphertext.windows(secret.len()).any(|part| part == secret));
        let opened = open(&kek, &binding, &sealed.wrapped, &sealed.ciphertext).unwrap();
        prop_assert_eq!(opened.expose(), secret);
    }

    #[test]
    fn anything_read_is_refused(wrapped: Vec<u8>, ciphertext: Vec<u8>) {
        prop_assert!(open(&kek(), &BINDING, &wrapped, &ciphertext).is_err());
    }
}
