//! `/`: the dashboard, a page that asks for nothing from elsewhere.
//!
//! Invariants: its policy forbids all but its own files and answers, and scripts in its text; what it shows it asks for as any
//! other client does. Its files tell nothing of the daemon, so that they need no token.

use axum::{
    Router,
    extract::Path,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

/// The style that all pages share, as CSS.
pub const STYLE: &str = include_str!("base.css");

/// What the page may do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const INDEX: &str = include_str!("index.html");
const SCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// The files below `/page/`: name, type, content.
static FILES: [(&str, &str, &str); 14] = [
    ("LICENSE.uPlot", "text/plain; charset=utf-8", include_str!("uplot/LICENSE")),
    ("base.css", CSS, STYLE),
    ("charts.js", SCRIPT, include_str!("charts.js")),
    ("daemon.js", SCRIPT, include_str!("daemon.js")),
    ("dashboard.css", CSS, include_str!("dashboard.css")),
    ("icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("letters.js", SCRIPT, include_str!("letters.js")),
    ("link.js", SCRIPT, include_str!("link.js")),
    ("main.js", SCRIPT, include_str!("main.js")),
    ("panels.js", SCRIPT, include_str!("panels.js")),
    ("past.js", SCRIPT, include_str!("past.js")),
    ("uPlot.iife.min.js", SCRIPT, include_str!("uplot/uPlot.iife.min.js")),
    ("uPlot.min.css", CSS, include_str!("uplot/uPlot.min.css")),
    ("words.js", SCRIPT, include_str!("words.js")),
];

/// Makes its routes.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(index)).route("/page/{file}", get(file))
}

/// Says whether a path is that of a file which tells nothing.
pub(crate) fn is_open(path: &str) -> bool {
    path == "/" || path.starts_with("/page/")
}

async fn index() -> Response {
    served("text/html; charset=utf-8", INDEX)
}

async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, content)) => served(kind, content),
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

fn served(kind: &'static str, content: &'static str) -> Response {
    let headers: [(HeaderName, &str); 2] = [(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_its_own_files_and_no_others() {
        let named = INDEX.split('"').filter_map(|text| text.strip_prefix("page/"));
        let imported =
            FILES.iter().flat_map(|(.., content)| content.split('"').filter_map(|text| text.strip_prefix("./")));
        let mut seen = 0;
        for name in named.chain(imported) {
            assert!(FILES.iter().any(|(file, ..)| *file == name), "{name} is no file of the page");
            seen += 1;
        }
        assert!(seen > 10, "only {seen} names found");
        assert!(!INDEX.contains("//"), "an address from elsewhere");
    }
}
