//! Answers that no emulator gives, put in the place of the network: the SDK writes real requests and reads real
//! answers, so its parsing, retries and timeouts are in the test.
//!
//! Not `aws-smithy-mocks`: it turns on features deep in the SDK, which would then be built twice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;
use pixmill_aws::load_at;

/// One answer of the network.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Http {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// The connection could not be made.
    NoConnection,
    /// Nothing ever comes.
    Silence,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Http {
            status,
            headers: vec![("x-amz-request-id", "4442587FB7D0A2F9".to_owned())],
            body: Vec::new(),
        }
    }

    /// S3's error document.
    pub(crate) fn s3_error(status: u16, code: &str, message: &str) -> Self {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error><Code>{code}</Code><Message>{message}</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
        );
        Self::status(status).body(xml)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Http { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }

    pub(crate) fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        if let Self::Http { body, .. } = &mut self {
            *body = bytes.into();
        }
        self
    }
}

/// What was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(n, _)| n == name);
        header.map(|(_, value)| value.as_str())
    }
}

/// A network that gives these answers, in order; the last one for ever.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Network {
    pub(crate) fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            asked: Arc::default(),
        }
    }

    /// The settings that everybody gets, but with hardly a pause between tries, and on this network.
    pub(crate) async fn config(&self) -> SdkConfig {
        let config = load_at("https://s3.example.com", "key", "secret").await;
        let retries = config.retry_config().cloned();
        let retries = retries.unwrap_or_else(RetryConfig::standard);
        let builder = config.into_builder();
        let quick = retries.with_initial_backoff(Duration::from_millis(1));
        let http = SharedHttpClient::new(self.clone());
        builder
            .retry_config(quick)
            .http_client(http)
            // So that a test can read what was sent.
            .disable_request_compression(true)
            .build()
    }

    /// The same, with a short patience.
    pub(crate) async fn impatient_config(&self) -> SdkConfig {
        let config = self.config().await;
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(Duration::from_millis(30))
            .build();
        config.into_builder().timeout_config(timeouts).build()
    }

    /// Everything that was asked since the last time this was called.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().expect("no test panicked in it"))
    }
}

impl HttpClient for Network {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Network {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers().iter();
        let asked = Asked {
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            body: request.body().bytes().unwrap_or_default().to_vec(),
        };
        self.asked
            .lock()
            .expect("no test panicked in it")
            .push(asked);

        let mut answers = self.answers.lock().expect("no test panicked in it");
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        match answer.expect("at least one answer") {
            Answer::Http {
                status,
                headers,
                body,
            } => {
                let status = StatusCode::try_from(status).expect("a status");
                let mut response = HttpResponse::new(status, SdkBody::from(body));
                for (name, value) in headers {
                    response.headers_mut().insert(name, value);
                }
                HttpConnectorFuture::ready(Ok(response))
            }
            Answer::NoConnection => {
                let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                HttpConnectorFuture::ready(Err(ConnectorError::io(refused.into())))
            }
            Answer::Silence => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}
