//! What the API says of itself is all that it serves.

use serde_json::{Value, json};

use crate::support::{
    daemon::Workspace,
    http::{address, exchange, get},
};

#[test]
fn every_path_that_is_served_is_described_and_every_one_described_is_served() {
    let site = Workspace::new(&["http.listen=127.0.0.1:0", "generator.enabled=false"]);
    let mut daemon = site.start(&["run"]);
    let address = address(&mut daemon);
    let answer = get(address, "/api/v1/openapi.json");
    assert!(answer.code == 200 && answer.head.contains("content-type: application/json"), "{}", answer.head);
    let described: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(described["openapi"].as_str().is_some_and(|it| it.starts_with("3.1")));
    assert_eq!(described["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = described["paths"].as_object().expect("paths");
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("an item") {
            assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{method} {path}");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(["401", "421"].iter().all(|it| responses.contains_key(*it)), "{method} {path}");
            for (code, response) in responses.iter().filter(|(code, _)| code.starts_with('4')) {
                let schema = &response["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(schema, &json!("#/components/schemas/Problem"), "{method} {path} {code}");
            }
            // It is there, and takes this method.
            let method = method.to_uppercase();
            let line = format!(
                "{method} {} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                path.replace(['{', '}'], "")
            );
            if path != "/api/v1/stream" {
                let code = exchange(address, line.as_bytes()).code;
                assert!(code != 405 && code != 0, "{line}: {code}");
            }
        }
    }
    // Handlers are served through their descriptions; what is not, is the page and what belongs to it.
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut looked_at = 0;
    for name in ["mod.rs", "api/mod.rs"] {
        let text = std::fs::read_to_string(folder.join(name)).expect(name);
        looked_at += text.matches(".routes(routes!(").count();
        assert!(!text.contains(".route("), "src/http/{name} serves a path without a description");
    }
    assert!(looked_at >= 8, "only {looked_at} routes found: this test does not see what it should");
    assert!(paths.len() >= 9, "{:?}", paths.keys());
    assert!(daemon.stop().success());
}
