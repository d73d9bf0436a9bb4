//! What is wrong with the image of a container.

use super::text::{after, steady};
use crate::strategy::cause::Cause;
use crate::strategy::snapshot::Snapshot;

/// The name of the picker's container.
const PICKER: &str = "picker";

/// What is wrong with the image of `container`, if the reason for which it waits is about that.
pub(super) fn of(
    snapshot: &Snapshot,
    container: &str,
    image: &str,
    reason: &str,
    message: &str,
) -> Option<Cause> {
    let place = match (container, &snapshot.strategy.spec.picker.image) {
        (PICKER, Some(_)) => "correct spec.picker.image".to_owned(),
        (PICKER, None) => "correct the operator's --picker-image (pickerImage of its chart)".to_owned(),
        _ => format!("see who adds the container {container} to the pods"),
    };
    let cause = match reason {
        "InvalidImageName" => {
            Cause::new("InvalidImageName", format!("{image} is no name of an image"), place)
        }
        "ErrImageNeverPull" => {
            let what = format!("image {image} is not on the node, and may not be pulled");
            Cause::new("ErrImageNeverPull", what, "change imagePullPolicy, or bring it there")
        }
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            let detail = detail(image, reason, message);
            let denied =
                ["denied", "authoriz", "Unauthorized", "Forbidden"].iter().any(|w| detail.contains(w));
            let fix = match denied {
                true => {
                    format!("{place}, or name its pull secret (imagePullSecrets) in spec.picker.podTemplate")
                }
                false => place,
            };
            // One word, whichever of the two the kubelet has at the moment.
            Cause::new("ImagePullBackOff", format!("image {image} can't be pulled"), fix).detail(&detail)
        }
        _ => return None,
    };
    Some(cause)
}

/// The words of the registry alone; empty where only the pause before the next attempt is told.
fn detail(image: &str, reason: &str, message: &str) -> String {
    let told = match reason {
        "ImagePullBackOff" => message.split_once("ErrImagePull: ").map_or("", |(_, error)| error),
        _ => message,
    };
    let told = after(told, "desc = ");
    let told = told.strip_prefix("Error response from daemon: ").unwrap_or(told);
    let told = match told.split_once("failed to resolve reference ") {
        Some((_, reference)) => reference.split_once("\": ").map_or(reference, |(_, error)| error),
        None => told,
    };
    steady(told.strip_prefix(image).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(told))
}
