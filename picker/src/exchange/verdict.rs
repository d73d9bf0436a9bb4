//! What a response says about the health of the server.

use picker_core::health::Verdict;

/// How the bodies begin with which Envoy itself answers for a server that it did not reach, or that was gone before its
/// response began. (`upstream connect error …` in `Filter::onUpstreamReset` of its router; the same text after retries.)
/// When its own limits were reached, its answer has the header `x-envoy-overloaded` beside it.
pub const ANSWERED_BY_GATEWAY: [&str; 1] = ["upstream connect error or disconnect/reset before headers"];

/// Who turned a request away for now, as the headers of the response say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// Nobody.
    None,
    /// The gateway, because of limits of its own, without asking the server (`x-envoy-overloaded`).
    Gateway,
    /// The server: it says when to come again (`retry-after`, and `grpc-retry-pushback-ms` of gRPC). It lives.
    Server,
}

/// What a response with this status says about the server, or an error of gRPC with the status `grpc`.
pub fn verdict(status: u16, grpc: Option<u32>, overload: Overload) -> Verdict {
    match (status, grpc) {
        _ if overload == Overload::Gateway => Verdict::Nothing,
        (503, _) | (200, Some(14)) if overload == Overload::Server => Verdict::Answered,
        (200, Some(grpc)) => of_grpc(grpc),
        (..400, _) => Verdict::Succeeded,
        (400..500 | 501 | 505, _) => Verdict::Answered,
        // How long a request may take, clients and gateways say.
        (504, _) => Verdict::Nothing,
        (500.., _) => Verdict::ServerError,
    }
}

/// The same of a status of gRPC; see `Status codes and their use in gRPC` in its documentation.
fn of_grpc(status: u32) -> Verdict {
    match status {
        0 => Verdict::Succeeded,
        // CANCELLED, DEADLINE_EXCEEDED: the client's doing.
        1 | 4 => Verdict::Nothing,
        // UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS.
        2 | 13 | 14 | 15 => Verdict::ServerError,
        _ => Verdict::Answered,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::ok(200, None, Verdict::Succeeded)]
    #[case::no_content(204, None, Verdict::Succeeded)]
    #[case::redirect(307, None, Verdict::Succeeded)]
    #[case::bad_request(400, None, Verdict::Answered)]
    #[case::too_many(429, None, Verdict::Answered)]
    #[case::last_of_the_clients(499, None, Verdict::Answered)]
    #[case::internal(500, None, Verdict::ServerError)]
    #[case::no_such_method(501, None, Verdict::Answered)]
    #[case::bad_gateway(502, None, Verdict::ServerError)]
    #[case::unavailable(503, None, Verdict::ServerError)]
    #[case::timeout(504, None, Verdict::Nothing)]
    #[case::no_such_version(505, None, Verdict::Answered)]
    #[case::storage(507, None, Verdict::ServerError)]
    #[case::grpc_ok(200, Some(0), Verdict::Succeeded)]
    #[case::grpc_deadline(200, Some(4), Verdict::Nothing)]
    #[case::grpc_invalid(200, Some(3), Verdict::Answered)]
    #[case::grpc_unimplemented(200, Some(12), Verdict::Answered)]
    #[case::grpc_internal(200, Some(13), Verdict::ServerError)]
    #[case::grpc_unavailable(200, Some(14), Verdict::ServerError)]
    fn a_status_is_the_servers_fault_or_not(
        #[case] status: u16,
        #[case] grpc: Option<u32>,
        #[case] wanted: Verdict,
    ) {
        assert_eq!(verdict(status, grpc, Overload::None), wanted);
        assert_eq!(verdict(status, grpc, Overload::Gateway), Verdict::Nothing);
        let turned_away = status == 503 || grpc == Some(14);
        let wanted = if turned_away { Verdict::Answered } else { wanted };
        assert_eq!(verdict(status, grpc, Overload::Server), wanted);
    }
}
