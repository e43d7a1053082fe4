//! Certificates and private keys in PEM format. An error is the end of a sentence: what is wrong with the text, what was expected
//! and what was found.

use std::collections::BTreeSet;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const BEGIN: &str = "-----BEGIN ";
const END_OF_LINE: &str = "-----";
/// Most kinds of sections in a message.
const SECTIONS_SHOWN_MAX: usize = 4;

/// The certificates of a text, at least one.
///
/// # Errors
///
/// `has no certificate in PEM format: expected -----BEGIN CERTIFICATE-----, found -----BEGIN PRIVATE KEY-----`.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match parsed {
        Ok(certificates) if certificates.is_empty() => Err(without("certificate", "CERTIFICATE", pem)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(malformed(&error)),
    }
}

/// The first private key of a text.
///
/// # Errors
///
/// As [`certificates`]. They do not show the key.
pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let problem = match error {
            Error::NoItemsFound => without("private key", "PRIVATE KEY", pem),
            error => malformed(&error),
        };
        match String::from_utf8_lossy(pem).contains("ENCRYPTED") {
            true => format!("{problem}; an encrypted key must be decrypted first"),
            false => problem,
        }
    })
}

fn without(what: &str, section: &str, pem: &[u8]) -> String {
    format!("has no {what} in PEM format: expected {BEGIN}{section}{END_OF_LINE}, found {}", found(pem))
}

/// The text of the library shows bytes as numbers.
fn malformed(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { .. } => {
            "is not in PEM format: its last section has no end, the file may be cut off"
        }
        Error::Base64Decode(_) => "is not in PEM format: a section is not in base64",
        _ => "is not in PEM format: a line with -----BEGIN is malformed",
    }
    .to_owned()
}

/// The kinds of sections in a text, or what it is without any.
fn found(pem: &[u8]) -> String {
    let Ok(text) = str::from_utf8(pem) else { return "binary data, such as DER".to_owned() };
    let lines = text.lines().map(str::trim);
    let sections: BTreeSet<_> =
        lines.filter(|line| line.starts_with(BEGIN) && line.ends_with(END_OF_LINE)).collect();
    match sections.is_empty() {
        true if text.trim().is_empty() => "an empty file".to_owned(),
        true => "other text".to_owned(),
        false => sections.into_iter().take(SECTIONS_SHOWN_MAX).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn section(name: &str) -> String {
        format!("-----BEGIN {name}-----\nAAAA\n-----END {name}-----\n")
    }

    #[test]
    fn an_error_says_what_was_expected_and_what_was_found() {
        let csr = section("CERTIFICATE REQUEST") + &section("PUBLIC KEY") + &section("PUBLIC KEY");
        for (text, found) in [
            (section("PRIVATE KEY").as_bytes(), "-----BEGIN PRIVATE KEY-----"),
            (csr.as_bytes(), "-----BEGIN CERTIFICATE REQUEST-----, -----BEGIN PUBLIC KEY-----"),
            (b"\x30\x82\xff", "binary data, such as DER"),
            (b"\n", "an empty file"),
            (b"hello", "other text"),
        ] {
            let expected = format!(
                "has no certificate in PEM format: expected -----BEGIN CERTIFICATE-----, found {found}"
            );
            assert_eq!(certificates(text).expect_err(found), expected);
        }
        let encrypted =
            private_key(section("ENCRYPTED PRIVATE KEY").as_bytes()).expect_err("it is encrypted");
        let expected = "has no private key in PEM format: expected -----BEGIN PRIVATE KEY-----, found \
                        -----BEGIN ENCRYPTED PRIVATE KEY-----; an encrypted key must be decrypted first";
        assert_eq!(encrypted, expected);
    }

    #[test]
    fn a_malformed_section_is_described_in_words() {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default().self_signed(&key).expect("a certificate").pem();
        assert_eq!(certificates(certificate.as_bytes()).map(|chain| chain.len()), Ok(1));
        let cut = certificates(&certificate.as_bytes()[..100]).expect_err("half a file");
        assert!(cut.ends_with("the file may be cut off"), "{cut}");
        let key = private_key(b"-----BEGIN PRIVATE KEY-----\nse_cret\n-----END PRIVATE KEY-----\n");
        assert_eq!(key.map(drop), Err("is not in PEM format: a section is not in base64".to_owned()));
        let begin = certificates(b"-----BEGIN CERTIFICATE\nAAAA\n").expect_err("no end of the line");
        assert!(begin.ends_with("-----BEGIN is malformed"), "{begin}");
    }
}
