//! The example server, asked over a real connection.

use std::net::SocketAddr;

use pixmill::Recipe;
use pixmill::image::Format;
use pixmill::render::probe;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[path = "../examples/axum_upload.rs"]
#[expect(dead_code, reason = "the example's main is not called here")]
#[expect(unreachable_pub, reason = "the example is a crate of its own")]
mod axum_upload;

const CAT: &[u8] = include_bytes!("../../../samples/cat.jpg");

/// What the server answered.
struct Answer {
    status: u16,
    /// Names in lower case.
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("errors are JSON")
    }

    #[track_caller]
    fn assert_refused(&self, status: u16, code: &str, stage: &str) {
        let error = self.json();
        assert_eq!(self.status, status, "{error}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(
            (&error["code"], &error["stage"]),
            (&code.into(), &stage.into()),
            "{error}"
        );
        assert!(
            !error["message"].as_str().unwrap_or_default().is_empty(),
            "{error}"
        );
    }
}

async fn serve(recipe: Recipe, at_once: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let app = axum_upload::app(recipe, at_once);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn post(address: SocketAddr, target: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the server listens");
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(head.as_bytes())
        .await
        .expect("the head is taken");
    stream.write_all(body).await.expect("the body is taken");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = answer.split_off(end.expect("an end of the head") + 4);
    let head = String::from_utf8(answer).expect("the head is text");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.expect("a status"),
        head,
        body,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_comes_back_as_its_thumbnail() {
    let address = serve(Recipe::default_recipe(), 2).await;
    let answer = post(address, "/render", CAT).await;

    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.header("content-type"), Some("image/jpeg"));
    let info = probe(&answer.body).expect("the answer is a picture");
    // The sample lies on its side, and its EXIF says so.
    assert_eq!(
        (info.format, info.width, info.height),
        (Format::Jpeg, 300, 200)
    );
    assert!(!info.has_metadata);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_variant_comes_back_by_its_name() {
    let address = serve(Recipe::default_recipe(), 2).await;
    let answer = post(address, "/render?variant=webp", CAT).await;

    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.header("content-type"), Some("image/webp"));
    let info = probe(&answer.body).expect("the answer is a picture");
    assert_eq!(
        (info.format, info.width, info.height),
        (Format::Webp, 451, 300)
    );

    let answer = post(address, "/render?variant=huge", CAT).await;
    answer.assert_refused(404, "no-such-variant", "plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_refused_as_unsupported() {
    let address = serve(Recipe::default_recipe(), 2).await;
    let answer = post(address, "/render", b"Dear Sir or Madam, no picture today.").await;
    answer.assert_refused(415, "unsupported", "probe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_was_cut_short_is_refused_as_such() {
    let address = serve(Recipe::default_recipe(), 2).await;
    let answer = post(address, "/render", &CAT[..CAT.len() / 2]).await;
    answer.assert_refused(422, "truncated", "decode");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_above_the_recipes_limit_is_not_read_to_its_end() {
    let mut recipe = Recipe::default_recipe();
    recipe.limits.input_bytes = CAT.len() as u64 - 1;
    let address = serve(recipe, 2).await;
    let answer = post(address, "/render", CAT).await;
    answer.assert_refused(413, "too-large", "fetch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_with_too_many_pixels_is_refused_before_it_is_decoded() {
    let mut recipe = Recipe::default_recipe();
    recipe.limits.pixels = 300 * 451 - 1;
    let address = serve(recipe, 2).await;
    let answer = post(address, "/render", CAT).await;
    answer.assert_refused(413, "too-large", "probe");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_there_is_no_room_the_caller_is_asked_to_come_back() {
    let address = serve(Recipe::default_recipe(), 0).await;
    let answer = post(address, "/render", CAT).await;
    answer.assert_refused(503, "busy", "plan");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn room_is_given_back_after_success_and_after_failure() {
    let address = serve(Recipe::default_recipe(), 1).await;
    for _ in 0..3 {
        assert_eq!(post(address, "/render", CAT).await.status, 200);
        assert_eq!(post(address, "/render", b"text").await.status, 415);
    }
}
