//! Certificates of an authority of the test's own, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::skip::has_program;

/// A key of this kind signs and is signed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyKind {
    Rsa,
    Ecdsa,
}

impl KeyKind {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            KeyKind::Rsa => &["-newkey", "rsa:2048"],
            KeyKind::Ecdsa => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
        }
    }
}

/// An authority, and the files that it signed.
pub(crate) struct Authority {
    folder: TempDir,
    kind: KeyKind,
}

impl Authority {
    /// A new authority. None, and the running test is skipped, without `openssl`.
    #[track_caller]
    pub(crate) fn new(kind: KeyKind) -> Option<Self> {
        if !has_program("openssl") {
            return None;
        }
        let authority = Authority { folder: TempDir::new().expect("a temporary folder"), kind };
        // If two authorities had one name, a client could distinguish them by their signatures only.
        let subject =
            format!("/CN=Authority {}", authority.folder.path().display().to_string().replace('/', " "));
        let arguments = [
            "req", "-x509", "-nodes", "-days", "2", "-subj", &subject, "-keyout", "ca.key", "-out", "ca.crt",
        ];
        authority.openssl(&[&arguments, kind.arguments()].concat());
        Some(authority)
    }

    /// The certificate of the authority.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// Signs a certificate for names, as in `DNS:db.example,IP:127.0.0.1`. Returns the files of the certificate and its key.
    pub(crate) fn sign(&self, subject: &str, names: &str) -> (PathBuf, PathBuf) {
        let subject = format!("/CN={subject}");
        let arguments = ["req", "-nodes", "-subj", &subject, "-keyout", "one.key", "-out", "one.csr"];
        self.openssl(&[&arguments, self.kind.arguments()].concat());
        let extensions = format!("basicConstraints=critical,CA:FALSE\nsubjectAltName={names}\n");
        std::fs::write(self.path("extensions"), extensions).expect("a file can be written");
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            "one.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "extensions",
            "-out",
            "one.crt",
        ]);
        (self.path("one.crt"), self.path("one.key"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let folder: &Path = self.folder.path();
        let output =
            Command::new("openssl").args(arguments).current_dir(folder).output().expect("openssl runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
