//! The cluster's certificate authority, and a certificate for each client of the API server.

use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::layout::Layout;
use super::network::{Addresses, NODE};

/// An identity: its file name, and how Kubernetes reads its certificate (O is the group, CN the user).
struct Identity {
    name: &'static str,
    user: String,
    group: Option<&'static str>,
    answers_as: &'static [&'static str],
}

/// The identities with a kubeconfig of their own.
pub const CLIENTS: [&str; 5] =
    ["admin", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"];

fn identities() -> Vec<Identity> {
    let client = |name, user: &str, group| Identity { name, user: user.to_owned(), group, answers_as: &[] };
    vec![
        Identity {
            name: "kube-apiserver",
            user: "kube-apiserver".to_owned(),
            group: None,
            answers_as: &[
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
                "localhost",
                "127.0.0.1",
                Addresses::IPV4.kubernetes,
                Addresses::IPV4.bridge,
                Addresses::IPV6.kubernetes,
                Addresses::IPV6.bridge,
            ],
        },
        Identity {
            answers_as: &[NODE, "127.0.0.1", Addresses::IPV4.bridge, Addresses::IPV6.bridge],
            ..client("kubelet", &format!("system:node:{NODE}"), Some("system:nodes"))
        },
        client("admin", "admin", Some("system:masters")),
        client("kube-controller-manager", "system:kube-controller-manager", None),
        client("kube-scheduler", "system:kube-scheduler", None),
        client("kube-proxy", "system:kube-proxy", None),
    ]
}

/// Makes every key and certificate of a new cluster, valid for as long as the machine is likely to keep it.
pub fn create(layout: &Layout) -> Result<()> {
    let key = KeyPair::generate().context("making the authority's key")?;
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.distinguished_name.push(DnType::CommonName, "waypost-e2e");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    write(&layout.pki("ca.crt"), &authority.self_signed(&key)?.pem())?;
    write(&layout.pki("ca.key"), &key.serialize_pem())?;

    let issuer = Issuer::new(authority, key);
    for identity in identities() {
        issue(layout, &identity, &issuer).with_context(|| format!("the certificate of {}", identity.name))?;
    }

    let tokens = KeyPair::generate().context("making the key of service account tokens")?;
    write(&layout.pki("service-account.key"), &tokens.serialize_pem())?;
    write(&layout.pki("service-account.pub"), &tokens.public_key_pem())
}

fn issue(layout: &Layout, identity: &Identity, issuer: &Issuer<'_, KeyPair>) -> Result<()> {
    let names: Vec<String> = identity.answers_as.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    if let Some(group) = identity.group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.distinguished_name.push(DnType::CommonName, identity.user.as_str());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    write(&layout.pki(&format!("{}.crt", identity.name)), &params.signed_by(&key, issuer)?.pem())?;
    write(&layout.pki(&format!("{}.key", identity.name)), &key.serialize_pem())
}

fn write(path: &Path, pem: &str) -> Result<()> {
    std::fs::write(path, pem).with_context(|| format!("writing {}", path.display()))
}
