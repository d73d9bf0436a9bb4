use std::fs;

use super::*;

fn write(dir: &Path, name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    fs::write(chain_path(dir), made.cert.pem()).unwrap();
    fs::write(key_path(dir), made.signing_key.serialize_pem()).unwrap();
    made
}

fn serving(files: &Files) -> Vec<CertificateDer<'static>> {
    files.certificate.0.load().cert.clone()
}

#[test]
fn a_new_pair_replaces_the_old_and_a_broken_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = write(dir.path(), "first");
    let mut files = Files::open(dir.path()).unwrap();
    assert_eq!(serving(&files), [first.cert.der().clone()]);
    assert!(matches!(files.check(), Change::None));

    let second = write(dir.path(), "second");
    assert!(matches!(files.check(), Change::Replaced));
    assert_eq!(serving(&files), [second.cert.der().clone()]);
    assert!(matches!(files.check(), Change::None));

    // Half of a pair, as when the key was not written yet.
    fs::write(chain_path(dir.path()), first.cert.pem()).unwrap();
    assert!(matches!(files.check(), Change::Refused(TlsError::Pair(_))));
    fs::write(chain_path(dir.path()), "no PEM").unwrap();
    assert!(matches!(files.check(), Change::Refused(TlsError::Pem { what: "certificate", .. })));
    fs::remove_file(key_path(dir.path())).unwrap();
    assert!(matches!(files.check(), Change::Refused(TlsError::Read { .. })));
    assert_eq!(serving(&files), [second.cert.der().clone()]);

    let third = write(dir.path(), "third");
    assert!(matches!(files.check(), Change::Replaced));
    assert_eq!(serving(&files), [third.cert.der().clone()]);
}

#[cfg(unix)]
#[test]
fn a_secret_is_replaced_by_a_link_two_levels_up() {
    use std::os::unix::fs::symlink;
    let mount = tempfile::tempdir().unwrap();
    let version = |n: u32| {
        let dir = mount.path().join(format!("..v{n}"));
        fs::create_dir(&dir).unwrap();
        write(&dir, &format!("v{n}"))
    };
    version(1);
    let second = version(2);
    symlink("..v1", mount.path().join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), mount.path().join(file)).unwrap();
    }
    let mut files = Files::open(mount.path()).unwrap();
    symlink("..v2", mount.path().join("..data_tmp")).unwrap();
    fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
    assert!(matches!(files.check(), Change::Replaced));
    assert_eq!(serving(&files), [second.cert.der().clone()]);
}

#[test]
fn an_error_tells_nothing_of_a_file() {
    let secret = "c2VjcmV0IGtleSBieXRlcw";
    for broken in [
        format!("-----BEGIN PRIVATE KEY----{secret}\n"),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n"),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}!\n-----END PRIVATE KEY-----\n"),
        format!("-----BEGIN {secret}-----\n"),
        secret.to_owned(),
    ] {
        for path in [chain_path, key_path] {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), "pair");
            fs::write(path(dir.path()), &broken).unwrap();
            let error = Files::open(dir.path()).unwrap_err();
            let (said, secret) = (format!("{error} {error:?}"), &secret[..8]);
            let bytes = format!("{:?}", secret.as_bytes());
            assert!(!said.contains(secret), "{said}");
            assert!(!said.contains(bytes.trim_matches(['[', ']'])), "{said}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = Files::open(dir.path()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read {}: ", chain_path(dir.path()).display())), "{error}");
}
