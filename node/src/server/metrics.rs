//! `GET /metrics` for Prometheus.

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::event::{Event, Form};

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, events: mpsc::Sender<Event>) {
    let app = Router::new().route("/metrics", get(move || metrics(events.clone())));
    if let Err(error) = axum::serve(listener, app).await {
        eprintln!("metrics are served no more: {error}");
    }
}

async fn metrics(events: mpsc::Sender<Event>) -> Response {
    let (answer, answered) = oneshot::channel();
    let asked = events.send(Event::Report(Form::Prometheus, answer)).await;
    match (asked, answered.await) {
        (Ok(()), Ok(text)) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
