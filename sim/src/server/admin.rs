//! Changes of speed and failures while the server runs, for tests.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Deserialize;

use super::app::{App, Tuning};
use super::error::ApiError;

/// The fields to change; the others stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    speed: Option<f64>,
    fail_rate: Option<f64>,
    fail_status: Option<u16>,
    hang_rate: Option<f64>,
    drop_rate: Option<f64>,
}

/// `GET /admin/config`
pub(super) async fn show(State(app): State<Arc<App>>) -> Json<Tuning> {
    Json(*app.tuning.read().unwrap_or_else(PoisonError::into_inner))
}

/// `POST /admin/config`
pub(super) async fn change(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Tuning>, ApiError> {
    let change: Change =
        serde_json::from_slice(&body).map_err(|error| ApiError::malformed(error.to_string()))?;
    let mut current = app.tuning.write().unwrap_or_else(PoisonError::into_inner);
    let mut tuning = *current;
    tuning.speed = change.speed.unwrap_or(tuning.speed);
    tuning.faults.fail_rate = change.fail_rate.unwrap_or(tuning.faults.fail_rate);
    tuning.faults.fail_status = change.fail_status.unwrap_or(tuning.faults.fail_status);
    tuning.faults.hang_rate = change.hang_rate.unwrap_or(tuning.faults.hang_rate);
    tuning.faults.drop_rate = change.drop_rate.unwrap_or(tuning.faults.drop_rate);
    tuning.faults.validate().map_err(|message| ApiError::bad_request(None, message))?;
    validate_speed(tuning.speed).map_err(|message| ApiError::bad_request(Some("speed"), message))?;
    app.engine.set_rates(app.config.engine.rates.faster(tuning.speed));
    *current = tuning;
    Ok(Json(tuning))
}

/// # Errors
/// When the engine could not run at this speed.
pub(super) fn validate_speed(speed: f64) -> Result<(), String> {
    if (0.001..=1e6).contains(&speed) {
        Ok(())
    } else {
        Err(format!("speed must be between 0.001 and 1000000, not {speed}"))
    }
}
