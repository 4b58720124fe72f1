//! Who is answered, and what browsers may do with the answer.
//!
//! A page on another site can make a browser ask a server on loopback, and by a name of its own that it lets point there. So the
//! `Host` that was asked must be a loopback name, unless a token has to be known anyway. Nothing is ever changed by a request.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Server, frame};

const COOKIE: &str = "rafture_token";

/// Of pages: our own style, script and pictures, and nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let mut response = match refuse(&server, &request) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    add_headers(response.headers_mut());
    response
}

/// The answer to whoever gets no other.
fn refuse(server: &Server, request: &Request) -> Option<Response> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refusal = frame::failure(StatusCode::METHOD_NOT_ALLOWED, "Nothing can be changed here.");
        return Some(([(header::ALLOW, "GET, HEAD")], refusal).into_response());
    }
    if server.is_loopback && !asks_loopback(request) {
        let why = "This server answers only as localhost. Ask it by 127.0.0.1, or start it with a token and another address.";
        return Some(frame::failure(StatusCode::MISDIRECTED_REQUEST, why));
    }
    let token = server.token.as_deref()?;
    if is_known(token, request.headers()) {
        return None;
    }
    if query_token(request.uri()).is_some_and(|told| is_equal(told, token)) {
        return Some(let_in(token, request.uri()));
    }
    let why = "This store needs a token: open it as /?token=… once, or send it as `Authorization: Bearer …`.";
    let refusal = frame::failure(StatusCode::UNAUTHORIZED, why);
    Some(([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response())
}

fn asks_loopback(request: &Request) -> bool {
    let told = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(Authority::as_str).or(told).unwrap_or("");
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_known(token: &str, headers: &HeaderMap) -> bool {
    let texts = |name: HeaderName| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let bearer = texts(header::AUTHORIZATION).filter_map(|value| value.strip_prefix("Bearer "));
    let cookies = texts(header::COOKIE).flat_map(|value| value.split(';'));
    let ours = cookies.filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    // All of them, so that time does not tell which it was.
    bearer.chain(ours).fold(false, |known, told| is_equal(told.trim(), token) | known)
}

fn query_token(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// A cookie in exchange, and the same page again without the token in its address.
fn let_in(token: &str, uri: &Uri) -> Response {
    let pairs = uri.query().unwrap_or("").split('&');
    let rest: Vec<&str> = pairs.filter(|pair| !pair.is_empty() && !pair.starts_with("token=")).collect();
    let mark = if rest.is_empty() { "" } else { "?" };
    // A path that begins with two slashes would be another host.
    let place = format!("/{}{mark}{}", uri.path().trim_start_matches('/'), rest.join("&"));
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict");
    let headers = [(header::LOCATION, place), (header::SET_COOKIE, cookie)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// In a time that depends on the lengths only.
fn is_equal(told: &str, token: &str) -> bool {
    let differences =
        told.bytes().zip(token.bytes()).fold(0u8, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    told.len() == token.len() && differences == 0
}

fn add_headers(headers: &mut HeaderMap) {
    let policy = headers.get(header::CONTENT_SECURITY_POLICY).cloned();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(policy) = policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}
