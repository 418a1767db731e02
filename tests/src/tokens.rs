//! Keys made by openssl, key files, and tokens signed with them, good and forged.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// A signing key with its public half in files.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its algorithm.
    pub algorithm: Algorithm,
    private: Vec<u8>,
    public: PathBuf,
}

impl Key {
    /// A new key pair for RS256, ES256 or EdDSA in `dir`; `name` tells it from others there.
    #[must_use]
    pub fn pair(algorithm: Algorithm, dir: &Path, name: &str) -> Self {
        let kind: &[&str] = match algorithm {
            Algorithm::RS256 => &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Algorithm::ES256 => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Algorithm::EdDSA => &["ED25519"],
            other => panic!("{other:?} has no key pair"),
        };
        let private = dir.join(format!("{name}.private.pem"));
        let public = dir.join(format!("{name}.pem"));
        openssl(&[&["genpkey", "-algorithm"], kind, &["-out", text(&private)]].concat());
        openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&public)]);
        Self { algorithm, private: std::fs::read(private).expect("a file"), public }
    }

    /// A shared secret for HS256, written to `dir`.
    #[must_use]
    pub fn secret(secret: &[u8], dir: &Path, name: &str) -> Self {
        let public = dir.join(format!("{name}.secret"));
        std::fs::write(&public, secret).expect("a file");
        Self { algorithm: Algorithm::HS256, private: secret.to_vec(), public }
    }

    /// The file for the gateway: a PEM public key, or the secret.
    #[must_use]
    pub fn file(&self) -> &str {
        text(&self.public)
    }

    /// The bytes of that file.
    #[must_use]
    pub fn public_bytes(&self) -> Vec<u8> {
        std::fs::read(&self.public).expect("a file")
    }

    /// A token with these claims, and a `kid` if given.
    #[must_use]
    pub fn sign(&self, claims: &Value, kid: Option<&str>) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &self.encoding()).expect("claims that can be signed")
    }

    /// The public key as a JSON Web Key (RFC 7517) named `kid`.
    #[must_use]
    pub fn jwk(&self, kid: &str) -> Value {
        let der = || self.public_der();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self.algorithm {
            Algorithm::HS256 => json!({"kty": "oct", "k": encode(&self.private)}),
            Algorithm::EdDSA => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(last(&der(), 32))})
            }
            Algorithm::ES256 => {
                let point = last(&der(), 64).to_vec();
                let (x, y) = point.split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            // A 2048-bit RSA key in DER ends in: modulus, then INTEGER (2, 3) 65537.
            _ => json!({"kty": "RSA", "n": encode(&last(&der(), 256 + 5)[..256]), "e": "AQAB"}),
        };
        jwk["kid"] = json!(kid);
        jwk
    }

    fn public_der(&self) -> Vec<u8> {
        openssl(&["pkey", "-pubin", "-in", self.file(), "-outform", "DER"])
    }

    fn encoding(&self) -> EncodingKey {
        let pem = &self.private;
        match self.algorithm {
            Algorithm::HS256 => EncodingKey::from_secret(pem),
            Algorithm::RS256 => EncodingKey::from_rsa_pem(pem).expect("an RSA key"),
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem).expect("an EC key"),
            _ => EncodingKey::from_ed_pem(pem).expect("an Ed25519 key"),
        }
    }
}

/// A token that claims not to need a signature (`alg` none, RFC 7518 section 3.6).
#[must_use]
pub fn unsigned(claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// Claims of `user` that hold for an hour.
#[must_use]
pub fn claims(user: &str) -> Value {
    json!({"sub": user, "exp": crate::ids::now_ms() / 1_000 + 3_600})
}

/// Writes a JWKS file with these keys and gives its path.
#[must_use]
pub fn write_jwks(dir: &Path, keys: &[Value]) -> PathBuf {
    let path = dir.join("jwks.json");
    std::fs::write(&path, json!({"keys": keys}).to_string()).expect("a file");
    path
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let run = Command::new("openssl").args(arguments).stderr(Stdio::piped()).output();
    let output = run.expect("openssl is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
    output.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn last(bytes: &[u8], count: usize) -> &[u8] {
    &bytes[bytes.len() - count..]
}
