//! Redirects of a page of metrics: `/metrics` is often `/metrics/`.

use http::StatusCode;
use http::uri::{PathAndQuery, Uri};

/// Whether `status` names another place for the same request.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The path that `location` names in the answer to a request for the path `from` of `host`, by `scheme`; `None` when it is on
/// another host, by another scheme, or no place at all.
pub(super) fn same_server(
    location: &str,
    scheme: &str,
    host: &str,
    from: &PathAndQuery,
) -> Option<PathAndQuery> {
    let location = location.split('#').next()?;
    if location.starts_with("//") {
        return same_server(&format!("{scheme}:{location}"), scheme, host, from);
    }
    if location.starts_with('/') {
        return location.parse().ok();
    }
    if location.contains("://") {
        let uri: Uri = location.parse().ok()?;
        let default = if scheme == "https" { ":443" } else { ":80" };
        let authority = uri.authority()?.as_str();
        let same = |host: &str| authority.eq_ignore_ascii_case(host);
        let same = same(host) || host.strip_suffix(default).is_some_and(same);
        return uri.path_and_query().filter(|_| same && uri.scheme_str() == Some(scheme)).cloned();
    }
    // Relative to the folder of the page.
    let folder = &from.path()[..=from.path().rfind('/')?];
    format!("{folder}{location}").parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/metrics/", Some("/metrics/"))]
    #[case("/metrics/?a=b#c", Some("/metrics/?a=b"))]
    #[case("metrics/", Some("/sub/metrics/"))]
    #[case("http://10.0.0.1:8000/metrics/", Some("/metrics/"))]
    #[case("HTTP://10.0.0.1:8000", Some("/"))]
    #[case("//10.0.0.1:8000/m", Some("/m"))]
    #[case("//10.0.0.2:8000/m", None)]
    #[case("https://10.0.0.1:8000/metrics/", None)]
    #[case("http://10.0.0.1/metrics/", None)]
    #[case("http://10.0.0.1:8001/metrics/", None)]
    #[case("http://10.0.0.1:8000@10.0.0.2/metrics/", None)]
    #[case("http://10.0.0.2:8000/metrics/", None)]
    #[case("http://", None)]
    #[case("/ a", None)]
    fn only_the_same_server_is_followed(#[case] location: &str, #[case] expected: Option<&str>) {
        let from = PathAndQuery::from_static("/sub/metrics");
        let found = same_server(location, "http", "10.0.0.1:8000", &from);
        assert_eq!(found.as_ref().map(PathAndQuery::as_str), expected);
    }

    #[test]
    fn the_port_of_a_scheme_may_be_left_out() {
        let from = PathAndQuery::from_static("/metrics");
        let of =
            |location, scheme, host| same_server(location, scheme, host, &from).map(|path| path.to_string());
        assert_eq!(of("https://[::1]/m", "https", "[::1]:443"), Some("/m".to_owned()));
        assert_eq!(of("https://[::1]/m", "https", "[::1]:80"), None);
    }
}
