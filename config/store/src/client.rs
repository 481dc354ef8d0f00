//! One SDK client for a bucket, made when it is first needed.
//!
//! Making it may ask the machine's metadata service for a region, so it waits, and the origin is
//! put together before anything can wait. Credentials come from the SDK's usual chain: variables,
//! shared profile, web identity, container role, machine role.

use std::time::Duration;

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    Builder, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext};
use headwater_config::{Bucket, S3};
use tokio::sync::OnceCell;

use crate::error::{Error, Fault};
use crate::{limits, tls};

/// What a server other than AWS is told where no region is set: most take any.
const ANY_REGION: &str = "us-east-1";

/// A bucket and the way to it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) bucket: Bucket,
    pub(crate) settings: S3,
    /// Whom the server's certificate must come from, where it is not the system's authorities.
    trust: Option<TlsContext>,
    client: OnceCell<Client>,
}

impl Place {
    pub(crate) fn new(bucket: &Bucket, settings: &S3) -> Result<Self, Error> {
        let trust = settings.ca_file().map(tls::trust).transpose();
        let trust = trust.map_err(|e| Error::new(Fault::Unavailable, bucket.name(), "", e))?;
        let (bucket, settings) = (bucket.clone(), settings.clone());
        Ok(Self { bucket, settings, trust, client: OnceCell::new() })
    }

    pub(crate) async fn client(&self) -> &Client {
        self.client.get_or_init(|| make(&self.settings, self.trust.clone())).await
    }

    /// A key of ours as the bucket's.
    pub(crate) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.bucket.prefix())
    }

    /// What a request with a body of `len_bytes` may take.
    pub(crate) fn upload_timeouts(&self, len_bytes: u64) -> TimeoutConfig {
        let extra = Duration::from_secs(len_bytes / limits::UPLOAD_BYTES_PER_S);
        timeouts(&self.settings, extra)
    }
}

async fn make(settings: &S3, trust: Option<TlsContext>) -> Client {
    let (endpoint, region) = (settings.endpoint.address(), settings.region.name());
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client(None))
        .app_name(AppName::new("headwater").expect("letters make an app name"));
    if let Some(region) = region.or(endpoint.map(|_| ANY_REGION)) {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let environment = loader.load().await;
    let stall = Duration::from_millis(settings.stall_timeout_ms.into());
    let retries = RetryConfig::standard()
        .with_max_attempts(settings.max_attempts)
        .with_initial_backoff(limits::FIRST_BACKOFF)
        .with_max_backoff(limits::LONGEST_BACKOFF);
    let mut config = Builder::from(&environment)
        // Credentials come from elsewhere: from AWS, even where the bucket is not.
        .http_client(http_client(trust))
        .force_path_style(settings.path_style)
        // Other servers do not know the checksums that the SDK adds by itself; every byte of ours
        // has its CRC32C in heads.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .timeout_config(timeouts(settings, Duration::ZERO))
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().grace_period(stall).build(),
        )
        .retry_config(retries);
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// Pools connections; rustls with ring, and the system's certificates where no others are named.
fn http_client(trust: Option<TlsContext>) -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(limits::IDLE)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(trust.unwrap_or_default())
        .build_https()
}

fn timeouts(settings: &S3, extra: Duration) -> TimeoutConfig {
    let ms = |ms: u32| Duration::from_millis(ms.into());
    TimeoutConfig::builder()
        .connect_timeout(ms(settings.connect_timeout_ms))
        .operation_attempt_timeout(ms(settings.attempt_timeout_ms) + extra)
        .operation_timeout(ms(settings.operation_timeout_ms) + extra * settings.max_attempts)
        .build()
}
