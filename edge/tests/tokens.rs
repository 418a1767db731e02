//! Tokens are believed exactly when a key of ours, used with its own algorithm, says so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use throng_edge::keys::{JwtAlgorithm, KeyError, KeySource, Keys, TokenError};
use throng_edge::limits::TOKEN_BYTES_MAX;

const NOW_S: u64 = 1_800_000_000;
const LEEWAY_S: u64 = 60;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(file(name)).unwrap()
}

struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    fn of(algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::HS256 => EncodingKey::from_secret(SECRET.as_bytes()),
            Algorithm::RS256 => EncodingKey::from_rsa_pem(&bytes("rsa.pem")).unwrap(),
            Algorithm::ES256 => EncodingKey::from_ec_pem(&bytes("ec.pem")).unwrap(),
            _ => EncodingKey::from_ed_pem(&bytes("ed.pem")).unwrap(),
        };
        Self { algorithm, key }
    }

    fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        encode(&header, claims, &self.key).unwrap()
    }

    fn jwk(&self, kid: &str) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        serde_json::to_value(jwk).unwrap()
    }
}

fn claims() -> Value {
    json!({ "sub": "alice", "exp": NOW_S + 100 })
}

fn with(key: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[key] = value.into();
    claims
}

fn pem(name: &str) -> KeySource {
    KeySource { key: Some(file(name)), ..KeySource::default() }
}

fn temporary(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    file
}

fn secret_keys(content: &str) -> Result<Keys, KeyError> {
    let file = temporary(content);
    Keys::load(&KeySource {
        key: Some(file.path().to_owned()),
        algorithm: Some(JwtAlgorithm::Hs256),
        ..KeySource::default()
    })
}

fn set_keys(keys: &[Value]) -> Result<Keys, KeyError> {
    let file = temporary(&json!({ "keys": keys }).to_string());
    Keys::load(&KeySource { jwks: Some(file.path().to_owned()), ..KeySource::default() })
}

const PUBLIC: [(Algorithm, &str); 3] = [
    (Algorithm::RS256, "rsa.pub.pem"),
    (Algorithm::ES256, "ec.pub.pem"),
    (Algorithm::EdDSA, "ed.pub.pem"),
];

#[test]
fn each_algorithm_is_verified_with_its_key() {
    for (algorithm, name) in PUBLIC {
        let keys = Keys::load(&pem(name)).unwrap();
        let token = Signer::of(algorithm).sign(None, &claims());
        let identity = keys.verify(&token, NOW_S).unwrap();
        assert_eq!((identity.user.as_str(), identity.expires_s), ("alice", NOW_S + 100));
    }
    let token = Signer::of(Algorithm::HS256).sign(None, &claims());
    assert!(secret_keys(SECRET).unwrap().verify(&token, NOW_S).is_ok());
}

#[test]
fn a_key_verifies_no_token_of_another_algorithm() {
    for (algorithm, name) in PUBLIC {
        let keys = Keys::load(&pem(name)).unwrap();
        for other in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
            let token = Signer::of(other).sign(None, &claims());
            assert_eq!(keys.verify(&token, NOW_S).is_ok(), other == algorithm, "{other:?}");
        }
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let public = bytes("rsa.pub.pem");
    let forged = encode(&Header::default(), &claims(), &EncodingKey::from_secret(&public)).unwrap();
    let keys = Keys::load(&pem("rsa.pub.pem")).unwrap();
    assert_eq!(keys.verify(&forged, NOW_S), Err(TokenError::UnknownKey));
    let source = KeySource { algorithm: Some(JwtAlgorithm::Hs256), ..pem("rsa.pub.pem") };
    assert!(matches!(Keys::load(&source), Err(KeyError::PemAsSecret(_))));
}

#[test]
fn a_token_without_a_signature_is_malformed() {
    // {"alg":"none"} . {"sub":"alice","exp":9999999999} .
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6OTk5OTk5OTk5OX0.";
    for name in ["rsa.pub.pem", "ec.pub.pem", "ed.pub.pem"] {
        let keys = Keys::load(&pem(name)).unwrap();
        assert_eq!(keys.verify(none, NOW_S), Err(TokenError::Malformed));
    }
}

#[test]
fn a_changed_token_is_refused() {
    let keys = Keys::load(&pem("ed.pub.pem")).unwrap();
    let token = Signer::of(Algorithm::EdDSA).sign(None, &claims());
    let other = Signer::of(Algorithm::EdDSA).sign(None, &with("sub", "mallory"));
    let (head, rest) = token.split_once('.').unwrap();
    let signature = rest.split_once('.').unwrap().1;
    let body = other.split('.').nth(1).unwrap();
    let mixed = format!("{head}.{body}.{signature}");
    assert_eq!(keys.verify(&mixed, NOW_S), Err(TokenError::Refused));
}

#[test]
fn a_token_lives_until_its_end_and_the_leeway_after_it() {
    let keys = Keys::load(&pem("ed.pub.pem")).unwrap();
    let token = Signer::of(Algorithm::EdDSA).sign(None, &claims());
    let end = NOW_S + 100 + LEEWAY_S;
    assert!(keys.verify(&token, end - 1).is_ok());
    assert_eq!(keys.verify(&token, end), Err(TokenError::Expired));
}

#[test]
fn a_token_that_begins_later_is_taken_within_the_leeway_only() {
    let keys = Keys::load(&pem("ed.pub.pem")).unwrap();
    let signer = Signer::of(Algorithm::EdDSA);
    let near = signer.sign(None, &with("nbf", NOW_S + LEEWAY_S));
    let far = signer.sign(None, &with("nbf", NOW_S + LEEWAY_S + 1));
    assert!(keys.verify(&near, NOW_S).is_ok());
    assert_eq!(keys.verify(&far, NOW_S), Err(TokenError::NotYetValid));
}

#[test]
fn subject_and_end_are_required() {
    let keys = Keys::load(&pem("ed.pub.pem")).unwrap();
    let signer = Signer::of(Algorithm::EdDSA);
    for claims in [json!({ "sub": "alice" }), json!({ "exp": NOW_S + 100 })] {
        let token = signer.sign(None, &claims);
        assert_eq!(keys.verify(&token, NOW_S), Err(TokenError::Refused), "{claims}");
    }
}

#[test]
fn audience_and_issuer_must_match_when_they_are_configured() {
    let source = KeySource {
        audience: Some("chat".into()),
        issuer: Some("login".into()),
        ..pem("ed.pub.pem")
    };
    let keys = Keys::load(&source).unwrap();
    let signer = Signer::of(Algorithm::EdDSA);
    let token = |aud: Value, iss: Value| {
        let mut claims = claims();
        claims["aud"] = aud;
        claims["iss"] = iss;
        signer.sign(None, &claims)
    };
    assert!(keys.verify(&token("chat".into(), "login".into()), NOW_S).is_ok());
    assert!(keys.verify(&token(json!(["mail", "chat"]), "login".into()), NOW_S).is_ok());
    for (aud, iss) in [("mail", "login"), ("chat", "other")] {
        let token = token(aud.into(), iss.into());
        assert_eq!(keys.verify(&token, NOW_S), Err(TokenError::Refused), "{aud} {iss}");
    }
    let without = signer.sign(None, &claims());
    assert_eq!(keys.verify(&without, NOW_S), Err(TokenError::Refused));
}

#[test]
fn an_audience_that_nobody_asked_for_does_no_harm() {
    let keys = Keys::load(&pem("ed.pub.pem")).unwrap();
    let token = Signer::of(Algorithm::EdDSA).sign(None, &with("aud", "somewhere"));
    assert!(keys.verify(&token, NOW_S).is_ok());
}

#[test]
fn a_token_may_be_bound_to_a_device() {
    let keys = Keys::load(&pem("ed.pub.pem")).unwrap();
    let token = Signer::of(Algorithm::EdDSA).sign(None, &with("device", "phone"));
    assert_eq!(keys.verify(&token, NOW_S).unwrap().device.as_deref(), Some("phone"));
}

#[test]
fn a_set_is_searched_by_key_id_and_algorithm() {
    let (ec, ed) = (Signer::of(Algorithm::ES256), Signer::of(Algorithm::EdDSA));
    let keys = set_keys(&[ec.jwk("a"), ed.jwk("b")]).unwrap();
    assert!(keys.verify(&ec.sign(Some("a"), &claims()), NOW_S).is_ok());
    assert!(keys.verify(&ed.sign(Some("b"), &claims()), NOW_S).is_ok());
    for (signer, kid) in [(&ec, "b"), (&ed, "a"), (&ed, "c")] {
        let token = signer.sign(Some(kid), &claims());
        assert_eq!(keys.verify(&token, NOW_S), Err(TokenError::UnknownKey), "{kid}");
    }
}

#[test]
fn a_token_without_a_key_id_is_taken_only_when_there_is_one_key_for_it() {
    let ed = Signer::of(Algorithm::EdDSA);
    let token = ed.sign(None, &claims());
    assert!(set_keys(&[ed.jwk("a")]).unwrap().verify(&token, NOW_S).is_ok());
    let two = set_keys(&[ed.jwk("a"), ed.jwk("b")]).unwrap();
    assert_eq!(two.verify(&token, NOW_S), Err(TokenError::UnknownKey));
}

#[test]
fn a_key_file_verifies_tokens_whatever_key_id_they_name() {
    let keys = Keys::load(&pem("ed.pub.pem")).unwrap();
    for kid in [None, Some("k1"), Some("")] {
        let token = Signer::of(Algorithm::EdDSA).sign(kid, &claims());
        assert!(keys.verify(&token, NOW_S).is_ok(), "{kid:?}");
    }
}

/// Beside a set the key of the token's id goes first, and the key file is for all other ids.
#[test]
fn a_key_file_beside_a_set_is_for_the_ids_that_the_set_does_not_have() {
    let ed = Signer::of(Algorithm::EdDSA);
    let mut other = ed.jwk("a");
    // Another point of the curve: nothing that `ed` signs is good for it.
    other["x"] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into();
    let set = temporary(&json!({ "keys": [other] }).to_string());
    let keys = Keys::load(&KeySource { jwks: Some(set.path().to_owned()), ..pem("ed.pub.pem") });
    let keys = keys.unwrap();
    let verdict = |kid| keys.verify(&ed.sign(kid, &claims()), NOW_S).map(|_| ());
    assert_eq!(verdict(Some("b")), Ok(()));
    assert_eq!(verdict(Some("a")), Err(TokenError::Refused));
    assert_eq!(verdict(None), Err(TokenError::UnknownKey), "two keys, and no word which");
}

#[test]
fn keys_of_a_set_that_are_not_for_signatures_of_ours_are_skipped() {
    let ed = Signer::of(Algorithm::EdDSA);
    let mut encryption = Signer::of(Algorithm::RS256).jwk("e");
    encryption["use"] = "enc".into();
    let mut other = Signer::of(Algorithm::RS256).jwk("o");
    other["alg"] = "RS512".into();
    let keys = set_keys(&[encryption.clone(), other.clone(), ed.jwk("a")]).unwrap();
    assert_eq!(keys.count(), 1);
    assert!(matches!(set_keys(&[encryption, other]), Err(KeyError::Empty(_))));
}

#[test]
fn a_secret_needs_its_algorithm_and_its_length() {
    let file = temporary(SECRET);
    let source = KeySource { key: Some(file.path().to_owned()), ..KeySource::default() };
    assert!(matches!(Keys::load(&source), Err(KeyError::SecretWithoutAlgorithm(_))));
    assert!(secret_keys(&SECRET[..32]).is_ok());
    assert!(matches!(secret_keys(&SECRET[..31]), Err(KeyError::ShortSecret { bytes: 31, .. })));
}

#[test]
fn the_line_end_of_a_secret_file_is_not_part_of_the_secret() {
    let token = Signer::of(Algorithm::HS256).sign(None, &claims());
    for content in [format!("{SECRET}\n"), format!("{SECRET}\r\n")] {
        assert!(secret_keys(&content).unwrap().verify(&token, NOW_S).is_ok());
    }
}

#[test]
fn files_that_hold_no_key_are_told_by_name() {
    let file = temporary("-----BEGIN PUBLIC KEY-----\nrubbish\n-----END PUBLIC KEY-----\n");
    let source = KeySource { key: Some(file.path().to_owned()), ..KeySource::default() };
    let error = Keys::load(&source).unwrap_err().to_string();
    assert!(error.contains(&file.path().display().to_string()), "{error}");
    assert!(matches!(Keys::load(&pem("missing.pem")), Err(KeyError::Read { .. })));
}

/// What is wrong, and what to do.
#[test]
fn a_key_that_cannot_be_used_is_told_with_what_to_do() {
    let told = |source: KeySource, parts: &[&str]| {
        let error = Keys::load(&source).unwrap_err().to_string();
        let path = source.key.or(source.jwks).unwrap();
        for part in parts.iter().copied().chain([path.to_str().unwrap()]) {
            assert!(error.contains(part), "{part}: {error}");
        }
    };
    let (junk, set) = (temporary("junk"), |path: &std::path::Path| KeySource {
        jwks: Some(path.to_owned()),
        ..KeySource::default()
    });
    let of =
        |key: PathBuf, algorithm| KeySource { key: Some(key), algorithm, ..KeySource::default() };
    let (ed, rs) = (Some(JwtAlgorithm::EdDsa), Some(JwtAlgorithm::Rs256));
    told(pem("missing.pem"), &["No such file", "--jwt-key"]);
    told(of(junk.path().to_owned(), ed), &["not PEM", "EdDSA", "--jwt-alg HS256"]);
    told(of(file("ed.pub.pem"), rs), &["RS256", "without --jwt-alg"]);
    told(pem("ed.pem"), &["private key", "openssl pkey"]);
    told(pem("rsa.pem"), &["private key", "-pubout"]);
    told(set(junk.path()), &["not a JSON Web Key Set", "line 1", "--jwt-key"]);
    let mut broken = Signer::of(Algorithm::EdDSA).jwk("k1");
    broken["x"] = "!".into();
    let broken = temporary(&json!({ "keys": [broken] }).to_string());
    told(set(broken.path()), &["k1"]);
    let empty = temporary(r#"{"keys": []}"#);
    told(set(empty.path()), &["no key for"]);
}

/// A valid token of so many bytes: base64 does not reach every length by its claims alone.
fn token_of(bytes: usize) -> String {
    let signer = Signer::of(Algorithm::EdDSA);
    let token = |id: usize, padding: usize| {
        signer.sign(Some(&"k".repeat(id)), &with("padding", "p".repeat(padding)))
    };
    let least = token(1, 0).len();
    let paddings = (bytes - least) * 3 / 4 - 3..;
    let tokens = paddings.take(6).flat_map(|padding| [token(1, padding), token(2, padding)]);
    tokens.into_iter().find(|token| token.len() == bytes).unwrap()
}

#[test]
fn a_token_of_the_limit_is_verified_and_a_longer_one_not_looked_at() {
    let keys = Keys::load(&pem("ed.pub.pem")).unwrap();
    assert!(keys.verify(&token_of(TOKEN_BYTES_MAX), NOW_S).is_ok());
    let refused = keys.verify(&token_of(TOKEN_BYTES_MAX + 1), NOW_S);
    assert_eq!(refused, Err(TokenError::Malformed));
}
