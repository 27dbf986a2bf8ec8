//! Where the SDK's clients get their settings: one place decides about endpoints, retries, timeouts and TLS.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_types::service_config::ServiceConfigKey;

use crate::sdk_error::innermost;

/// How often a call is tried, the first time included. Two more tries outlast a dropped connection
/// and a short throttle; whatever takes longer is for the job's own retry, which waits minutes.
const ATTEMPTS: u32 = 3;
/// Up to this long before the second try (the SDK picks a random part of it), doubled before the third.
/// The SDK's own second is long beside a job that takes less.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// The longest pause between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// A download that brings less than one byte a second for this long is given up, and so is an upload.
const STALLED: Duration = Duration::from_secs(5);

/// How long a call to AWS may take.
///
/// But for the last, none of them bounds the content of a download: it takes as long as it flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// From the request's first byte until the answer begins. An upload's content falls into it.
    pub answer: Duration,
    /// One try, credentials included.
    pub attempt: Duration,
    /// All tries and the pauses between them.
    pub call: Duration,
    /// How long a stream may stand still (bring less than one byte a second), in either direction.
    pub stalled: Duration,
}

impl Patience {
    /// For a function beside its bucket, where a second is long: a call ends after 30 seconds at most,
    /// so that a function with a minute can still say what went wrong.
    pub const FUNCTION: Self = Self {
        connect: Duration::from_secs(2),
        answer: Duration::from_secs(10),
        attempt: Duration::from_secs(12),
        call: Duration::from_secs(30),
        stalled: STALLED,
    };

    /// For a laptop, where a rendition of 10 MB may have to go up through 1 Mbit/s.
    pub const LAPTOP: Self = Self {
        connect: Duration::from_secs(5),
        answer: Duration::from_mins(2),
        attempt: Duration::from_secs(130),
        call: Duration::from_mins(5),
        stalled: STALLED,
    };
}

/// The account's settings as the AWS tools find them (environment, then profile files), with
/// [`Patience::FUNCTION`].
///
/// With credentials in the environment, as in Lambda, nothing is asked of any metadata service.
/// It cannot fail: what is missing is said by the first call that needs it.
pub async fn load() -> SdkConfig {
    load_with(Patience::FUNCTION).await
}

/// The same with other timeouts.
pub async fn load_with(patience: Patience) -> SdkConfig {
    loader(patience).load().await
}

/// Settings for a service that is not AWS's own: an emulator, or another store that speaks S3.
/// Nothing is taken from the environment that is given here.
pub async fn load_at(endpoint: &str, access_key: &str, secret_key: &str) -> SdkConfig {
    let credentials = Credentials::new(access_key, secret_key, None, None, "given");
    loader(Patience::FUNCTION)
        .endpoint_url(endpoint)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(credentials)
        .load()
        .await
}

/// What keeps every call from being signed, in words with a remedy: no region, or no credentials. Only the
/// providers of credentials are asked, as the first call would; none where all is there.
pub async fn what_is_missing_to_sign(config: &SdkConfig) -> Option<String> {
    if config.region().is_none() {
        let words =
            "no AWS region is set; set AWS_REGION, or `region` in the profile of AWS_PROFILE";
        return Some(words.to_owned());
    }
    let remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in with `aws sso login`";
    let Some(provider) = config.credentials_provider() else {
        return Some(format!("no AWS credentials are configured; {remedy}"));
    };
    match provider.provide_credentials().await {
        Ok(_) => None,
        // Its words list every provider that had nothing to say.
        Err(CredentialsError::CredentialsNotLoaded(_)) => {
            Some(format!("no AWS credentials were found; {remedy}"))
        }
        Err(error) => Some(format!(
            "no usable AWS credentials were found ({}); {remedy}",
            innermost(&error)
        )),
    }
}

/// The same settings with other timeouts.
pub fn with_patience(config: SdkConfig, patience: Patience) -> SdkConfig {
    let config = config.into_builder();
    let config = config.timeout_config(timeouts(patience));
    config.stalled_stream_protection(stalled(patience)).build()
}

fn timeouts(patience: Patience) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(patience.connect)
        .read_timeout(patience.answer)
        .operation_attempt_timeout(patience.attempt)
        .operation_timeout(patience.call)
        .build()
}

fn stalled(patience: Patience) -> StalledStreamProtectionConfig {
    let config = StalledStreamProtectionConfig::enabled();
    config.grace_period(patience.stalled).build()
}

fn loader(patience: Patience) -> ConfigLoader {
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF);
    // Pinned: a new SDK must not bring other defaults by itself.
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client())
        .timeout_config(timeouts(patience))
        .retry_config(retries)
        .stalled_stream_protection(stalled(patience))
}

/// A client for [`S3Store`](crate::S3Store). Clones share their connections.
///
/// Where the endpoint is not AWS's own (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`, or the profile's),
/// buckets are named in the path: emulators have no host name for each.
pub fn s3_client(config: &SdkConfig) -> aws_sdk_s3::Client {
    let settings = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(has_own_endpoint(config, "S3"))
        .build();
    aws_sdk_s3::Client::from_conf(settings)
}

/// A client for [`CloudWatchMetrics`](crate::CloudWatchMetrics).
pub fn cloudwatch_client(config: &SdkConfig) -> aws_sdk_cloudwatch::Client {
    aws_sdk_cloudwatch::Client::new(config)
}

/// A client for [`SnsAlerts`](crate::SnsAlerts).
pub fn sns_client(config: &SdkConfig) -> aws_sdk_sns::Client {
    aws_sdk_sns::Client::new(config)
}

/// A client for [`DeadLetters`](crate::DeadLetters).
#[cfg(feature = "queues")]
pub fn sqs_client(config: &SdkConfig) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(config)
}

fn has_own_endpoint(config: &SdkConfig, service: &str) -> bool {
    if config.endpoint_url().is_some() {
        return true;
    }
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let endpoint = key.ok().and_then(|key| {
        let settings = config.service_config()?;
        settings.load_config(key)
    });
    endpoint.is_some()
}

/// rustls on *ring*: smaller and quicker to build than aws-lc, and its TLS is as fast for a function that
/// opens a handful of connections.
fn http_client() -> SharedHttpClient {
    let hyper = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    SharedHttpClient::new(Late(hyper))
}

/// The client without its warm-up, which would make a connector when a service's client is made and throw it away.
/// The first one reads the system's root certificates: 3 to 5 ms of a cold start, against 0.2 ms for a client
/// without (measured). They are read when the first connection needs them.
#[derive(Debug)]
struct Late(SharedHttpClient);

impl HttpClient for Late {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}
