//! The query and the path of a request, of which nothing is ignored.

use axum::{
    extract::{FromRequestParts, Query as AxumQuery},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::Problem;

/// What a request asks for behind the `?`.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match AxumQuery::try_from_uri(&parts.uri) {
            Ok(AxumQuery(query)) => Ok(Self(query)),
            Err(rejection) => {
                let text = rejection.body_text();
                let problem = text.rsplit_once("string: ").map_or(&*text, |(_, problem)| problem);
                Err(Problem::bad_request("bad_query", format!("the query of the address: {problem}")))
            }
        }
    }
}
