//! Private keys from PEM files, behind a password or not.

use std::path::Path;

use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::pem::Pem;

use super::TlsError;
use super::certificate::describe;

/// What OpenSSL calls a PKCS#8 key behind a password (RFC 7468 §11).
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// The key of a PEM file; one that is encrypted opens with a line of `passwords`.
pub(super) fn load_key(
    file: &Path,
    passwords: Option<&Path>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(file).or_else(|error| {
        let text = std::fs::read(file).unwrap_or_default();
        let mut blocks = Pem::iter_from_buffer(&text).flatten();
        if let Some(block) = blocks.find(|block| block.label == ENCRYPTED) {
            return decrypt(file, &block.contents, passwords);
        }
        if String::from_utf8_lossy(&text).contains("Proc-Type: 4,ENCRYPTED") {
            let help = "store it in today's form: openssl pkcs8 -topk8 -in KEY -out KEY.new";
            return Err(TlsError::new(
                file,
                "the key is encrypted in the form before PKCS#8",
                help,
            ));
        }
        let message = match error {
            pem::Error::NoItemsFound => "there is no private key in the file".to_owned(),
            error => describe(&error),
        };
        Err(TlsError::new(file, message, "it must be a PEM private key (PKCS#8, PKCS#1 or SEC1)"))
    })
}

/// Tries the passwords in their order, as nginx does.
fn decrypt(
    file: &Path,
    key: &[u8],
    passwords: Option<&Path>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let Some(passwords) = passwords else {
        let help = "name a file with its password as `ssl_password_file`, towards peers \
                    `proxy_ssl_password_file`, or store the key decrypted";
        return Err(TlsError::new(file, "the key is encrypted", help));
    };
    let lines = std::fs::read(passwords).map_err(|error| {
        let help = "it must hold one password on each line";
        TlsError::new(passwords, format!("it cannot be read: {error}"), help)
    })?;
    let key = EncryptedPrivateKeyInfoRef::try_from(key).map_err(|error| {
        let help = "encrypt it anew: openssl pkcs8 -topk8 -in KEY -out KEY.new";
        TlsError::new(file, format!("the encrypted key cannot be read: {error}"), help)
    })?;
    let lines =
        lines.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for password in lines.filter(|line| !line.is_empty()) {
        if let Ok(opened) = key.decrypt(password) {
            return Ok(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec()).into());
        }
    }
    let message = format!("no password of {} opens the key", passwords.display());
    Err(TlsError::new(file, message, "write its password on a line of its own"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// One key in four forms, by `openssl ec` and `openssl pkcs8 -topk8`; the password is `second`.
    const PLAIN: &str = "\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIDDdOIaIVK8sUI/cJW4SxsiWyRkxf8HkeETto6U75yaroAoGCCqGSM49
AwEHoUQDQgAEAJHkURj/gvRGzWl80JWvLg90UjhNucL/Uwdwons+cUA2FsHjXBuN
1E6SW5pfS1bIqWv/r8YVdIyZWVTP+tJIRw==
-----END EC PRIVATE KEY-----";
    const AES: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgEMDSI7+XtoQICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEPcIys33qHFaPZh/hyMPpHwEgZBi
pwRoAwnuagIO2ugKjK9LV4siOddRFJnouuGO9oStNENcwGAM+k9TE8lP0bVLCIvb
2WiIJuXeJVQ7rVtaqmJ8rqdWVKfe7sIO+W3ajOURTV0cbN138QV3l3m/6PeWg4k9
hTU4JyZ6FZ8SLnkm/qKVDDeTqZUu/t8mTLt4VFGnxDVT4hh5Hvs2juXz4IVGu+E=
-----END ENCRYPTED PRIVATE KEY-----";
    const DES3_SHA1: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHVMEAGCSqGSIb3DQEFDTAzMBsGCSqGSIb3DQEFDDAOBAjY8QbbVt9iVwICCAAw
FAYIKoZIhvcNAwcECPhDid+0eqXRBIGQhnPqA8IFt2rli2D12sIg0uifZWHc/SbL
ZPju3dWCSKj1d6IyXltHbg9RX/kDy27bfTxZKsBJYATWxge1s10LOKArgwrLi+JR
jkAmig51+77bwoRUfLjr9dN7G91UrqLMGZ07F1OrqgHwyMBlDp1idLQXuM90qHjf
vERBdrPa1iWAvoxsV+cJkdPDW094QMFs
-----END ENCRYPTED PRIVATE KEY-----";
    const BEFORE_PKCS8: &str = "\
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,B3AE26B003C063C55202DA06447494D3

PRcj91bMeiy+kDFGKGOAcO+jCtzIeA0WWBmPXrEt3TGjvHS+Q4nFi7VgC07ysdoM
jrqSj1Ya8tXxVVEDwRHC9UfjzOfqLVZwa+VWYjQ70gepS1LnhlZ5ok6LvpF2QmMf
U6Yqur3FzWJGBoU1a3TSt8+xvUlJZLiaMocf9LpTXWE=
-----END EC PRIVATE KEY-----";

    struct Files(tempfile::TempDir);

    impl Files {
        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        }

        fn load(&self, key: &str, passwords: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
            let passwords = self.write("passwords", passwords);
            load_key(&self.write("key.pem", key), Some(&passwords))
        }
    }

    #[test]
    fn a_key_opens_with_any_line_of_the_passwords() {
        let files = Files(tempfile::tempdir().unwrap());
        let provider = super::super::provider();
        let public = |key| {
            let signer = provider.key_provider.load_private_key(key).unwrap();
            signer.public_key().unwrap().to_vec()
        };
        let plain = public(files.load(PLAIN, "").unwrap());
        for key in [AES, DES3_SHA1] {
            let chain_first =
                format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{key}");
            for key in [key, &chain_first] {
                for passwords in ["second", "first\n\nsecond\nthird\n", "first\r\nsecond\r\n"] {
                    assert_eq!(public(files.load(key, passwords).unwrap()), plain);
                }
            }
        }
    }

    #[test]
    fn a_key_that_does_not_open_names_the_file_to_mend() {
        let files = Files(tempfile::tempdir().unwrap());
        for passwords in ["", "first\n second\n", "secondthird"] {
            let error = files.load(AES, passwords).unwrap_err();
            assert!(error.message.contains("no password of"), "{error}");
        }
        let key = files.write("key.pem", AES);
        let error = load_key(&key, None).unwrap_err();
        assert!(error.help.contains("ssl_password_file"), "{error}");
        let error = load_key(&key, Some(Path::new("/nonexistent"))).unwrap_err();
        assert_eq!(error.file, Path::new("/nonexistent"));
        let error = files.load(BEFORE_PKCS8, "second").unwrap_err();
        assert!(error.help.contains("openssl pkcs8"), "{error}");
        let cut = AES.replace("MI", "MJ");
        let error = files.load(&cut, "second").unwrap_err();
        assert!(error.message.contains("cannot be read"), "{error}");
    }
}
