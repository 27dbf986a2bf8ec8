//! Thumbnails over HTTP: `POST /render` with a picture as the body answers with the recipe's
//! `thumbnail`, `POST /render?variant=webp` with that variant.
//!
//! ```text
//! cargo run --release --example axum_upload &
//! curl --data-binary @samples/cat.jpg http://127.0.0.1:3000/render > thumbnail.jpg
//! ```
//!
//! What a service around the engine has to see to, and does here: rendering stays off the
//! executor's threads, only so many pictures are in work at once, memory and time are bounded for
//! each of them, and every failure has a status that tells the caller whose fault it was.
//! The server and its runtime are dependencies of this example alone, not of the library.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use pixmill::error::{Cause, Stage};
use pixmill::render::{Made, RenderOptions, RenditionResult, Stop, render_variants};
use pixmill::{Error, ImageError, Recipe};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

/// The most memory that one picture may take, in bytes.
const MEMORY: u64 = 512 << 20;
/// The longest that one picture may take.
const TIME: Duration = Duration::from_secs(20);
/// What a caller is told to wait when there is no room, in seconds.
const RETRY_AFTER: &str = "1";

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let at_once = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app(Recipe::default_recipe(), at_once)).await
}

/// The service: renders by `recipe`, at most `at_once` pictures at a time.
pub fn app(recipe: Recipe, at_once: usize) -> Router {
    // Read no more than the recipe accepts; the engine would refuse it only once it is all there.
    let limit = usize::try_from(recipe.limits.input_bytes).unwrap_or(usize::MAX);
    Router::new()
        .route("/render", post(upload))
        .layer(DefaultBodyLimit::max(limit))
        .with_state(Service {
            recipe: Arc::new(recipe),
            room: Arc::new(Semaphore::new(at_once)),
        })
}

#[derive(Clone)]
struct Service {
    recipe: Arc<Recipe>,
    room: Arc<Semaphore>,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default = "thumbnail")]
    variant: String,
}

fn thumbnail() -> String {
    "thumbnail".to_owned()
}

async fn upload(
    State(service): State<Service>,
    Query(wanted): Query<Wanted>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let bytes = body?;
    // Refused now rather than queued: a queue only makes everybody wait until they give up.
    let Ok(room) = service.room.clone().try_acquire_owned() else {
        return Err(Refusal::busy());
    };
    let gone = RaisedOnDrop::default();
    let options = RenderOptions {
        stop: Stop::on(gone.0.clone()).or_at(Instant::now() + TIME),
        memory: Some(MEMORY),
        ..RenderOptions::default()
    };
    let recipe = service.recipe.clone();
    let rendering = tokio::task::spawn_blocking(move || {
        let made = render_one(&bytes, &recipe, &wanted.variant, &options);
        // Not with the handler, which ends early when the caller hangs up.
        drop(room);
        made
    });
    let made = match rendering.await {
        Ok(made) => made?,
        Err(_) => return Err(Error::new(Stage::Render, Cause::WorkerGone).into()),
    };
    Ok(([(header::CONTENT_TYPE, made.content_type)], made.bytes).into_response())
}

fn render_one(
    bytes: &[u8],
    recipe: &Recipe,
    name: &str,
    options: &RenderOptions,
) -> Result<Made, Refusal> {
    let Some(variant) = recipe.variants.iter().find(|v| v.name == name) else {
        return Err(Refusal::no_such_variant(name));
    };
    let done = render_variants(bytes, recipe, &[variant], options)?;
    match done.renditions.into_iter().next().map(|made| made.result) {
        Some(RenditionResult::Made(made)) => Ok(made),
        Some(RenditionResult::Skipped(why) | RenditionResult::Deferred(why)) => {
            Err(Refusal::skipped(why))
        }
        None => Err(Error::new(Stage::Render, Cause::WorkerGone).into()),
    }
}

/// Stops the rendering when the caller hangs up: the handler is dropped then, and this with it.
#[derive(Default)]
struct RaisedOnDrop(Arc<AtomicBool>);

impl Drop for RaisedOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Why there is no picture in the answer.
struct Refusal {
    status: StatusCode,
    code: String,
    stage: Stage,
    message: String,
}

impl Refusal {
    fn busy() -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "busy".to_owned(),
            stage: Stage::Plan,
            message: "as many pictures as this service takes are in work; come back".to_owned(),
        }
    }

    fn no_such_variant(name: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "no-such-variant".to_owned(),
            stage: Stage::Plan,
            message: format!("the recipe has no variant called {name:?}"),
        }
    }

    fn skipped(why: String) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "skipped".to_owned(),
            stage: Stage::Render,
            message: why,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error.cause() {
            Cause::Image(image) => match image {
                ImageError::Unsupported { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ImageError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                ImageError::Corrupt { .. }
                | ImageError::Truncated { .. }
                | ImageError::DecoderPanic { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                transient if transient.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            code: error.code().to_owned(),
            stage: error.stage(),
            message: error.cause().to_string(),
        }
    }
}

impl From<BytesRejection> for Refusal {
    fn from(rejection: BytesRejection) -> Self {
        let code = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too-large",
            _ => "upload",
        };
        Self {
            status: rejection.status(),
            code: code.to_owned(),
            stage: Stage::Fetch,
            message: rejection.body_text(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({
            "code": self.code,
            "stage": self.stage,
            "message": self.message,
        }));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            (self.status, [(header::RETRY_AFTER, RETRY_AFTER)], body).into_response()
        } else {
            (self.status, body).into_response()
        }
    }
}
