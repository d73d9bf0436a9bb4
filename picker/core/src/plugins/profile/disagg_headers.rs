//! The headers that tell the sidecar of a decode server which servers do the other parts of a request.

use bytes::Bytes;

use crate::ask::{Ask, Decision, Picked};
use crate::edits::Edits;

/// Address of the prefill server, for the sidecar of the decode server.
pub(in crate::plugins) const PREFILLER: &str = "x-prefiller-host-port";
/// Addresses of the encode servers, separated by commas, for the same.
pub(in crate::plugins) const ENCODERS: &str = "x-encoder-hosts-ports";

/// What the profile `stage` picked. The decode server does for itself what no other one does for it.
fn picked(stage: Option<usize>, decision: &Decision) -> Option<&Picked> {
    let decode = decision.destination().map(|picked| picked[0]);
    decision.of(stage?).filter(|picked| picked.iter().any(|i| Some(*i) != decode))
}

/// Names the prefill server that the profile `stage` picked in its header.
pub(in crate::plugins) fn prefiller(
    stage: Option<usize>,
    ask: &Ask<'_>,
    decision: &Decision,
    edits: &mut Edits,
) {
    let decode = decision.destination().map(|picked| picked[0]);
    if let Some(first) =
        picked(stage, decision).map(|picked| picked[0]).filter(|first| Some(*first) != decode)
    {
        let address = ask.view.endpoints[first as usize].destination.as_str();
        edits.set_header(PREFILLER, Bytes::copy_from_slice(address.as_bytes()));
    }
}

/// Names the encode servers that the profile `stage` picked in their header, and returns them.
pub(in crate::plugins) fn encoders<'d>(
    stage: Option<usize>,
    ask: &Ask<'_>,
    decision: &'d Decision,
    edits: &mut Edits,
) -> Option<&'d Picked> {
    let picked = picked(stage, decision)?;
    let mut addresses = String::new();
    for &i in picked {
        if !addresses.is_empty() {
            addresses.push(',');
        }
        addresses.push_str(ask.view.endpoints[i as usize].destination.as_str());
    }
    edits.set_header(ENCODERS, addresses);
    Some(picked)
}
