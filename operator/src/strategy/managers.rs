//! Field managers of a pool: who holds which field, by its managedFields.

use crds::Pool;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use crate::names::MANAGER;

/// The manager other than us that holds the picker's name in a pool; where several do, the latest.
pub(super) fn of_reference(pool: &Pool) -> Option<String> {
    of_field(pool, "name")
}

/// The manager other than us that holds a field of a pool's reference; where several do, the latest.
pub(super) fn of_field(pool: &Pool, field: &str) -> Option<String> {
    let path = format!("/f:spec/f:{}/f:{field}", pool.group.ref_field());
    let others = pool.metadata.managed_fields.iter().flatten().filter(|entry| !is_ours(entry));
    let mut holders: Vec<_> = others.filter(|entry| holds(entry, &path)).collect();
    holders.sort_by(|a, b| a.time.cmp(&b.time));
    holders.last().and_then(|entry| entry.manager.clone())
}

/// Whether we hold the picker's name in a pool.
pub(super) fn we_hold_reference(pool: &Pool) -> bool {
    let path = format!("/f:spec/f:{}/f:name", pool.group.ref_field());
    pool.metadata.managed_fields.iter().flatten().any(|entry| is_ours(entry) && holds(entry, &path))
}

/// The managedFields of a pool without what is ours.
pub(super) fn without_us(pool: &Pool) -> Vec<ManagedFieldsEntry> {
    pool.metadata.managed_fields.iter().flatten().filter(|entry| !is_ours(entry)).cloned().collect()
}

/// The fields of a pool's reference that we hold and nobody else does.
pub(super) fn only_ours(pool: &Pool, fields: impl IntoIterator<Item = String>) -> Vec<String> {
    let (ours, others): (Vec<_>, Vec<_>) =
        pool.metadata.managed_fields.iter().flatten().partition(|entry| is_ours(entry));
    let path = |field: &str| format!("/f:spec/f:{}/f:{field}", pool.group.ref_field());
    let held = |entries: &[&ManagedFieldsEntry], field: &str| entries.iter().any(|e| holds(e, &path(field)));
    fields.into_iter().filter(|field| held(&ours, field) && !held(&others, field)).collect()
}

/// Whether `manager` holds its fields of a pool by server-side apply.
pub(super) fn applies(pool: &Pool, manager: &str) -> bool {
    let is = |entry: &ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(manager) && entry.operation.as_deref() == Some("Apply")
    };
    pool.metadata.managed_fields.iter().flatten().any(is)
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(MANAGER)
}

fn holds(entry: &ManagedFieldsEntry, path: &str) -> bool {
    let fields = entry.fields_v1.as_ref().and_then(|fields| serde_json::to_value(fields).ok());
    fields.as_ref().and_then(|fields: &Value| fields.pointer(path)).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pool() -> Pool {
        let entry = |manager: &str, time: &str, field: &str| {
            json!({"manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:endpointPickerRef": {field: {}}}}})
        };
        let metadata = serde_json::from_value(json!({"name": "qwen", "managedFields": [
            entry("waypost", "2026-01-05T00:00:00Z", "f:name"),
            entry("helm", "2026-01-01T00:00:00Z", "f:name"),
            entry("kubectl-edit", "2026-01-03T00:00:00Z", "f:name"),
            entry("kustomize-controller", "2026-01-04T00:00:00Z", "f:failureMode"),
        ]}))
        .unwrap();
        Pool { metadata, ..Pool::default() }
    }

    #[test]
    fn the_latest_other_holder_of_the_name_counts() {
        assert_eq!(of_reference(&pool()).as_deref(), Some("kubectl-edit"));
        assert_eq!(of_reference(&Pool::default()), None);
        assert!(we_hold_reference(&pool()) && !we_hold_reference(&Pool::default()));
    }

    #[test]
    fn fields_that_only_we_hold_are_ours() {
        let fields = || ["name", "failureMode"].map(str::to_owned);
        assert_eq!(only_ours(&pool(), fields()), Vec::<String>::new());
        let mut alone = pool();
        alone.metadata.managed_fields.as_mut().unwrap().truncate(1);
        assert_eq!(only_ours(&alone, fields()), ["name"]);
    }

    #[test]
    fn what_is_ours_can_be_left_out() {
        let managers: Vec<_> = without_us(&pool()).into_iter().filter_map(|e| e.manager).collect();
        assert_eq!(managers, ["helm", "kubectl-edit", "kustomize-controller"]);
    }
}
