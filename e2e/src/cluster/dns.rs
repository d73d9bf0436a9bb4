//! CoreDNS, which resolves the names of the cluster and no others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::net::UdpSocket;

use super::network::{self, Family, takes_connections};
use crate::kubectl::Kubectl;
use crate::wait::until;

/// Types of records.
const A: u8 = 1;
const AAAA: u8 = 28;

const MANIFEST: &str = include_str!("../../manifests/coredns.yaml");

/// Deploys it and waits until it answers. It does a moment after its rollout, not with it.
pub async fn deploy(kubectl: &Kubectl, image: &str) -> Result<()> {
    let addresses = network::family().addresses();
    let manifest = MANIFEST.replace("${IMAGE}", image).replace("${ADDRESS}", addresses.dns);
    // An API server that has just begun knows its own range of Service addresses a moment later.
    let applied = || kubectl.apply("kube-system", &manifest);
    until("the API server to take the Service of the cluster's DNS", Duration::from_secs(30), applied)
        .await?;
    kubectl.rollout("kube-system", "coredns", Duration::from_secs(90)).await?;
    let kubernetes: IpAddr = addresses.kubernetes.parse()?;
    until("an answer of the cluster's DNS", Duration::from_secs(30), || async {
        let found = lookup("kubernetes.default.svc.cluster.local").await?;
        ensure!(found == kubernetes, "kubernetes is at {found}");
        Ok(())
    })
    .await
}

/// Makes another Service over the DNS server, waits until it answers, and removes it. It does once the endpoint
/// controller and kube-proxy have seen it.
pub async fn second_service_answers(kubectl: &Kubectl) -> Result<()> {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "caught-up"},
        "spec": {
            "selector": {"app": "coredns"},
            "ports": [{"name": "dns-tcp", "port": 53, "protocol": "TCP"}],
        },
    });
    let made = kubectl.apply_object("kube-system", service.clone()).await?;
    let address = made.data["spec"]["clusterIP"].as_str().context("a Service has an address")?.to_owned();
    let answers =
        until("a new Service to answer", Duration::from_secs(180), || takes_connections(&address, 53));
    let answers = answers.await;
    kubectl.delete("kube-system", &service.to_string()).await?;
    answers
}

/// Asks the cluster's DNS for the first address of `name`, of the cluster's family, from this machine.
///
/// # Errors
/// When it does not answer within a second, or has none.
pub async fn lookup(name: &str) -> Result<IpAddr> {
    let family = network::family();
    let addresses = family.addresses();
    let socket = UdpSocket::bind((addresses.unspecified, 0)).await?;
    socket.connect((addresses.dns, 53)).await?;
    let query = query(name, family);
    socket.send(&query).await?;
    let mut answer = [0; 512];
    let length = tokio::time::timeout(Duration::from_secs(1), socket.recv(&mut answer)).await??;
    address(&answer[..length], query.len())
        .with_context(|| format!("the cluster's DNS has no address of {name}"))
}

/// A recursive query of type A (RFC 1035, section 4) or AAAA (RFC 3596), class IN.
fn query(name: &str, family: Family) -> Vec<u8> {
    let mut query = vec![0x57, 0x50, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap_or(63));
        query.extend_from_slice(label.as_bytes());
    }
    let kind = match family {
        Family::Ipv4 => A,
        Family::Ipv6 => AAAA,
    };
    query.extend_from_slice(&[0, 0, kind, 0, 1]);
    query
}

/// The address in the first record of an answer whose header and question are `question` bytes long.
fn address(answer: &[u8], question: usize) -> Option<IpAddr> {
    let answers = u16::from_be_bytes([*answer.get(6)?, *answer.get(7)?]);
    let mut at = question;
    // The record's name: labels, ended by an empty one or by a pointer of two bytes.
    loop {
        match *answer.get(at)? {
            0 => break at += 1,
            pointer if pointer >= 0xc0 => break at += 2,
            length => at += 1 + usize::from(length),
        }
    }
    // Type, class (2), time to live (4), length (2), address.
    let (record, rest) = answer.get(at..)?.split_first_chunk::<10>()?;
    match (answers, record) {
        (1.., [0, A, .., 0, 4]) => Some(Ipv4Addr::from(*rest.first_chunk()?).into()),
        (1.., [0, AAAA, .., 0, 16]) => Some(Ipv6Addr::from(*rest.first_chunk()?).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_behind_its_question() {
        let question = query("a.bc", Family::Ipv6);
        assert_eq!(question[12..], [1, b'a', 2, b'b', b'c', 0, 0, 28, 0, 1]);
        let question = query("a.bc", Family::Ipv4);
        assert_eq!(question[12..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
        let mut answer = question.clone();
        answer[7] = 1;
        let of_v4 = [&[0, 1, 0, 1, 0, 0, 0, 5, 0, 4][..], &[10, 96, 0, 1]].concat();
        let of_v6 = [&[0, 28, 0, 1, 0, 0, 0, 5, 0, 16][..], &[0xfd; 16]].concat();
        for name in [&[0xc0, 12][..], &[1, b'a', 2, b'b', b'c', 0]] {
            let mut found = |record: &[u8]| {
                answer.truncate(question.len());
                answer.extend_from_slice(name);
                answer.extend_from_slice(record);
                address(&answer, question.len())
            };
            assert_eq!(found(&of_v6), Some(Ipv6Addr::from([0xfd; 16]).into()));
            assert_eq!(found(&of_v6[..25]), None);
            assert_eq!(found(&of_v4), Some(Ipv4Addr::new(10, 96, 0, 1).into()));
        }
        answer[7] = 0;
        assert_eq!(address(&answer, question.len()), None);
        assert_eq!(address(&answer[..20], question.len()), None);
    }
}
