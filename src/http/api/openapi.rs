//! The description of all that is served, as OpenAPI 3.1: made from the handlers, so that a path without one is not served.

use std::sync::{Arc, OnceLock};

use axum::{
    body::Bytes,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    OpenApi, PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, HttpMethod, Ref, RefOr, ResponseBuilder,
        path::Operation,
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};

use super::problem;

/// What is the same of all paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Thalweg",
        description = "Online regression on an event stream: predictions, samples, topics and models of a running daemon. Each error \
                       has the form {\"error\":{\"code\":…,\"message\":…}}.",
        license(name = "MIT OR Apache-2.0")
    ),
    tags(
        (name = "daemon", description = "How the daemon is"),
        (name = "predictions", description = "Predicting without learning"),
        (name = "samples", description = "Samples for the stream"),
        (name = "topics", description = "What topics hold"),
        (name = "models", description = "What models have learned")
    )
)]
pub(crate) struct Described;

/// The document, once all routes are known.
#[derive(Clone, Default)]
pub(crate) struct Document(Arc<OnceLock<Bytes>>);

impl Document {
    /// Takes what the routes say, and adds what any path may answer.
    pub(crate) fn set(&self, mut described: utoipa::openapi::OpenApi) {
        let components = described.components.get_or_insert_default();
        components.schemas.insert(problem::Body::name().into_owned(), problem::Body::schema());
        let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", token);
        for item in described.paths.paths.values_mut() {
            for method in [HttpMethod::Get, HttpMethod::Post] {
                let operation = match method {
                    HttpMethod::Get => &mut item.get,
                    _ => &mut item.post,
                };
                operation.iter_mut().for_each(complete);
            }
        }
        // Plain data always has a JSON form.
        let text = described.to_pretty_json().unwrap_or_default();
        // It is set once.
        let _ = self.0.set(text.into());
    }
}

fn complete(operation: &mut Operation) {
    let none: [&str; 0] = [];
    operation.security = Some(vec![SecurityRequirement::default(), SecurityRequirement::new("token", none)]);
    for (status, description) in [
        ("401", "http.token_file is set, and the request does not bring its token"),
        ("421", "The server was called by a name that is not its own"),
    ] {
        let error = Ref::from_schema_name(problem::Body::name());
        let content = ContentBuilder::new().schema(Some(RefOr::Ref(error))).build();
        let response = ResponseBuilder::new().description(description).content("application/json", content).build();
        operation.responses.responses.insert(status.to_owned(), RefOr::T(response));
    }
}

/// Gives this description
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    tag = "daemon",
    responses((status = 200, description = "The description", content_type = "application/json", body = Object))
)]
pub(crate) async fn openapi(State(document): State<Document>) -> Response {
    let text = document.0.get().cloned().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
