//! The built site (the browser's module, style, icons), embedded in the binary: the server is one file to copy.
//!
//! The package folder's address carries a hash of its content, so browsers keep the files for good and never mix two
//! versions.

use std::sync::LazyLock;

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use leptos::config::LeptosOptions;
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "target/site"]
#[allow_missing = true]
struct Site;

/// The folder that the build puts module and style in.
const PACKAGE: &str = "pkg";

/// A hash of the package's content: it changes when any of its files does.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Site::iter().filter(|name| name.starts_with(PACKAGE)).collect();
    names.sort();
    let digests = names.iter().filter_map(|name| Site::get(name)).map(|file| file.metadata.sha256_hash());
    // The digests are well distributed already, and folding them keeps that.
    let folded = digests.fold([0u8; 32], |folded, digest| {
        let mut next = [0; 32];
        for (index, byte) in next.iter_mut().enumerate() {
            *byte = folded[index].wrapping_mul(31).wrapping_add(digest[index]);
        }
        next
    });
    folded.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
});

/// Returns Leptos' options with the package folder's address as it is served here.
pub fn versioned(mut options: LeptosOptions) -> LeptosOptions {
    options.site_pkg_dir = format!("{PACKAGE}/{}", *VERSION).into();
    options
}

/// `/pkg/{version}/{file}`: module and style, kept by the browser for a year.
pub async fn package_file(Path((version, file)): Path<(String, String)>, headers: HeaderMap) -> Response {
    // Another version's address must not be answered with this version's content, which browsers would keep.
    if version != *VERSION {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut response = serve(&format!("{PACKAGE}/{file}"), &headers);
    if response.status().is_success() {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    response
}

/// A file at the site's root, such as the icon; browsers ask again after a day.
pub async fn root_file(name: &'static str, headers: HeaderMap) -> Response {
    let mut response = serve(name, &headers);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response
}

/// Serves a file in the smallest form that the browser accepts; the build has compressed the files already.
fn serve(path: &str, headers: &HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let takes = |coding: &str| accepted.split(',').any(|one| one.trim().split(';').next() == Some(coding));
    for (coding, ending) in [("br", "br"), ("gzip", "gz")] {
        if takes(coding)
            && let Some(file) = Site::get(&format!("{path}.{ending}"))
        {
            let mut response = body(path, file);
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
            return response;
        }
    }
    match Site::get(path) {
        Some(file) => body(path, file),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn body(path: &str, file: EmbeddedFile) -> Response {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let headers = [(header::CONTENT_TYPE, kind.essence_str().to_owned()), (header::VARY, "Accept-Encoding".to_owned())];
    (headers, Body::from(file.data)).into_response()
}
