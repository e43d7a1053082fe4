//! Tests of key sets: the examples of the RFCs, and what is skipped.

use serde_json::{Value, json};

use super::{Algorithm, Found, KeySet, URL_SAFE_NO_PAD};
use base64::Engine as _;

/// RFC 7515, appendices A.2 and A.3; RFC 8037, appendix A.4.
const RSA: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-\
    SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2C\
    apHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW\
    yuXpoQ";
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p\
    c19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbd\
    s9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_\
    dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypG\
    lUPQGe77Rw";
const P256_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9\
    pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const ED25519_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg\
    3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn rsa() -> Value {
    json!({"kty": "RSA", "n": RSA, "e": "AQAB"})
}

fn p256() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

fn ed25519() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn parse(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).expect("a key set")
}

fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

#[test]
fn the_examples_of_the_rfcs_are_verified() {
    let set = parse(&[rsa(), p256(), ed25519()]);
    for (algorithm, token) in
        [(Algorithm::Rs256, RSA_TOKEN), (Algorithm::Es256, P256_TOKEN), (Algorithm::EdDsa, ED25519_TOKEN)]
    {
        let Found::Key(key) = set.find(None, algorithm) else { panic!("no key for {algorithm:?}") };
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(key.verifies(signed.as_bytes(), &signature), "{algorithm:?}");
        assert!(!key.verifies(&signed.as_bytes()[1..], &signature), "{algorithm:?}");
        for at in 0..signature.len() {
            let mut damaged = signature.clone();
            damaged[at] ^= 1;
            assert!(!key.verifies(signed.as_bytes(), &damaged), "{algorithm:?}, byte {at}");
        }
    }
}

#[test]
fn keys_of_other_types_and_uses_are_skipped() {
    let short = URL_SAFE_NO_PAD.encode([0xc1; 128]);
    let long = URL_SAFE_NO_PAD.encode([0xc1; 1025]);
    let skipped = [
        json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}),
        json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
        json!({}),
        json!(null),
        json!([[[]]]),
        with(rsa(), "n", ""),
        with(rsa(), "n", short),
        with(rsa(), "n", long),
        with(rsa(), "e", "A"),
        with(rsa(), "use", "enc"),
        with(rsa(), "alg", "RSA-OAEP"),
        with(rsa(), "alg", "PS256"),
        with(rsa(), "kid", 7),
        with(rsa(), "key_ops", json!(["encrypt"])),
        with(p256(), "y", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
        with(p256(), "x", "AA"),
        with(p256(), "alg", "ES384"),
        with(ed25519(), "x", "AA"),
        with(ed25519(), "alg", "RS256"),
    ];
    let set = parse(&skipped);
    assert_eq!((set.keys.len(), set.skipped), (0, skipped.len()), "{:?}", set.keys);
    let used = [
        with(rsa(), "use", "sig"),
        with(rsa(), "alg", "RS256"),
        with(rsa(), "n", format!("AAAA{RSA}")),
        with(p256(), "key_ops", json!(["verify"])),
        with(ed25519(), "alg", "Ed25519"),
        with(ed25519(), "x5c", json!([{"unknown": true}])),
    ];
    assert_eq!(parse(&used).keys.len(), used.len());
}

#[test]
fn a_key_has_its_id_and_its_type() {
    let set = parse(&[with(rsa(), "kid", "a"), with(p256(), "kid", "a"), with(ed25519(), "kid", "b")]);
    assert!(matches!(set.find(Some("a"), Algorithm::Rs256), Found::Key(_)));
    assert!(matches!(set.find(Some("a"), Algorithm::Es256), Found::Key(_)));
    assert!(matches!(set.find(Some("a"), Algorithm::EdDsa), Found::OtherType));
    assert!(matches!(set.find(Some("c"), Algorithm::EdDsa), Found::UnknownId));
    assert!(matches!(parse(&[rsa(), rsa()]).find(None, Algorithm::Rs256), Found::NoId));
}

#[test]
fn the_size_and_the_number_of_keys_are_bounded() {
    let document = |count: usize| json!({"keys": vec![ed25519(); count]}).to_string();
    assert_eq!(KeySet::parse(document(100).as_bytes()).unwrap().keys.len(), 100);
    let message = KeySet::parse(document(101).as_bytes()).unwrap_err();
    assert_eq!(message, "the key set has 101 keys, the limit is 100");
    let large = format!("{}{}", document(1), " ".repeat(1 << 20));
    assert_eq!(KeySet::parse(large.as_bytes()).unwrap_err(), "the key set is larger than 1048576 bytes");
    for text in ["", "[]", "{\"keys\": {}}", "{\"keys\": [}", &"[".repeat(1 << 20), "{\"keys\":"] {
        assert!(KeySet::parse(text.as_bytes()).unwrap_err().contains("not a JSON Web Key Set"), "{text:.20}");
    }
}
