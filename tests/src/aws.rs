//! AWS's services by plain HTTP, as an emulator takes them: a request says which service it is for and in whose name
//! it comes, and nothing is signed.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, request};
use bytes::Bytes;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::runtime::Runtime;

/// More than any call takes on a busy machine.
const LONG: Duration = Duration::from_mins(1);

/// More than any answer has: a function's zip.
const MAX_ANSWER: usize = 256 << 20;

/// The services of one emulator.
#[derive(Debug)]
pub struct Aws {
    url: String,
    runtime: Runtime,
    http: Client<HttpConnector, Body>,
}

/// In whose name a request comes: a role's, by the credentials that STS gave for it.
#[derive(Clone, Debug)]
pub struct Role {
    /// The access key's id.
    pub key: String,
    /// The secret access key.
    pub secret: String,
    /// The session's token.
    pub token: String,
}

impl Aws {
    /// The services behind this address.
    pub fn at(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a tokio runtime");
        Self {
            url: url.to_owned(),
            runtime,
            http: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Their address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What drives the calls, for others that need such a thing.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A call of a service that speaks JSON (`AmazonSQS.SendMessage`). Fails with the status and the answer.
    pub fn json(
        &self,
        role: Option<&Role>,
        service: &str,
        target: &str,
        input: &Value,
    ) -> Result<Value, String> {
        let request = Request::builder()
            .method(Method::POST)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target);
        let answer = self.call(role, service, request, "/", input.to_string());
        let answer = answer.map_err(|error| format!("{target}: {error}"))?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// A call of a service that takes forms and gives XML. Fails with the status and the answer.
    pub fn form(&self, service: &str, fields: &[(&str, &str)]) -> Result<String, String> {
        let request = Request::builder()
            .method(Method::POST)
            .header("content-type", "application/x-www-form-urlencoded");
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let answer = self.call(None, service, request, "/", form.finish());
        let answer = answer.map_err(|error| format!("{fields:?}: {error}"))?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A call of a service that goes by paths. Fails with the status and the answer.
    pub fn path(
        &self,
        role: Option<&Role>,
        service: &str,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Bytes, String> {
        let request = Request::builder().method(method);
        let answer = self.call(role, service, request, path, body);
        answer.map_err(|error| format!("{path}: {error}"))
    }

    /// An asynchronous invocation of a function. Fails with the status and the answer.
    pub fn event(&self, path: &str, payload: &Value) -> Result<(), String> {
        let request = Request::builder()
            .method(Method::POST)
            .header("x-amz-invocation-type", "Event");
        let answer = self.call(None, "lambda", request, path, payload.to_string());
        answer
            .map(|_| ())
            .map_err(|error| format!("{path}: {error}"))
    }

    fn call(
        &self,
        role: Option<&Role>,
        service: &str,
        request: request::Builder,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Result<Bytes, String> {
        let key = role.map_or("test", |role| &role.key);
        let mut request = request.uri(format!("{}{path}", self.url)).header(
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
            ),
        );
        if let Some(role) = role {
            request = request.header("x-amz-security-token", &role.token);
        }
        let request = request.body(Body::from(body.into()));
        let request = request.map_err(|error| error.to_string())?;
        self.runtime.block_on(async {
            let answer = tokio::time::timeout(LONG, self.http.request(request)).await;
            let answer = answer.map_err(|_| "no answer within a minute".to_owned())?;
            let answer = answer.map_err(|error| error.to_string())?;
            let status = answer.status();
            let body = to_bytes(Body::new(answer.into_body()), MAX_ANSWER).await;
            let body = body.map_err(|error| error.to_string())?;
            if status.is_success() {
                Ok(body)
            } else {
                Err(format!("{status} {}", String::from_utf8_lossy(&body)))
            }
        })
    }
}

/// What stands in each `<tag>` of an answer; no more of XML is needed for what is asked here.
pub fn in_tags<'a>(xml: &'a str, tag: &str) -> Vec<&'a str> {
    let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let found = xml.split(&begin).skip(1);
    found
        .filter_map(|rest| Some(rest.split_once(&end)?.0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::in_tags;

    #[test]
    fn every_tag_gives_what_stands_in_it() {
        let xml = "<a><Name>one</Name><Name>two</Name></a>";
        assert_eq!(in_tags(xml, "Name"), ["one", "two"]);
        assert!(in_tags(xml, "Key").is_empty());
    }
}
