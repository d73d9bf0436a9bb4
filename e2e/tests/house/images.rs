//! The Dockerfiles' base images.

use std::collections::BTreeSet;
use std::fs;

use crate::sources::root;

/// A tag alone is another image tomorrow.
#[test]
fn base_images_are_named_with_their_digests() {
    for dockerfile in ["Dockerfile.operator", "Dockerfile.picker", "sim/Dockerfile"] {
        let dockerfile = fs::read_to_string(root().join(dockerfile)).unwrap();
        let after = |start| dockerfile.lines().filter_map(move |line| line.strip_prefix(start));
        let stages: BTreeSet<_> = after("FROM ").filter_map(|from| from.split(' ').next()).collect();
        assert_eq!(stages, BTreeSet::from(["${BUILDER}", "${RUNTIME}"]));
        for image in ["ARG BUILDER=", "ARG RUNTIME="] {
            let images: Vec<_> = after(image).collect();
            let [image] = images[..] else { panic!("{image}: {images:?}") };
            let (tagged, digest) =
                image.split_once("@sha256:").unwrap_or_else(|| panic!("{image} has no digest"));
            assert!(tagged.rsplit('/').next().unwrap().contains(':'), "{image} has no tag");
            assert!(digest.len() == 64 && digest.chars().all(|digit| digit.is_ascii_hexdigit()), "{image}");
        }
    }
}
