//! The calls of calls.md with tonic.

use std::error::Error;
use std::time::Duration;

use tokio_stream::StreamExt;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{BinaryMetadataValue, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use grpc::health::v1::health_check_response::ServingStatus;
use grpc::reflection::v1::server_reflection_request::MessageRequest;
use grpc::reflection::v1::server_reflection_response::MessageResponse;
use prism::keyvalue::v1::key_value_basic_interface_client::KeyValueBasicInterfaceClient;
use prism::keyvalue::v1::key_value_scan_interface_client::KeyValueScanInterfaceClient;
use prism::keyvalue::v1::{GetRequest, ScanRequest, SetRequest};

mod prism {
    pub mod keyvalue {
        pub mod v1 {
            tonic::include_proto!("prism.keyvalue.v1");
        }
    }
}

mod grpc {
    pub mod health {
        pub mod v1 {
            tonic::include_proto!("grpc.health.v1");
        }
    }
    pub mod reflection {
        pub mod v1 {
            tonic::include_proto!("grpc.reflection.v1");
        }
    }
}

type Outcome = Result<(), Box<dyn Error>>;

const KEYS: [&str; 3] = ["rs/1", "rs/2", "rs/3"];

fn large() -> Vec<u8> {
    b"prism ".repeat(50_000)
}

fn in_namespace<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("prism-namespace", MetadataValue::from_static("default"));
    request.metadata_mut().insert_bin("note-bin", BinaryMetadataValue::from_bytes(&[0, 1, 255]));
    request
}

async fn unary(channel: Channel) -> Outcome {
    let mut client = KeyValueBasicInterfaceClient::new(channel.clone());
    for key in KEYS {
        client.set(in_namespace(SetRequest { key: key.into(), value: large() })).await?;
    }
    let got = client.get(in_namespace(GetRequest { key: KEYS[0].into() })).await?.into_inner();
    assert!(got.found && got.value == large(), "the value does not come back");
    assert!(!client.get(in_namespace(GetRequest { key: "rs/none".into() })).await?.into_inner().found);

    let mut zipped = KeyValueBasicInterfaceClient::new(channel)
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    zipped.set(in_namespace(SetRequest { key: KEYS[1].into(), value: large() })).await?;
    assert!(zipped.get(in_namespace(GetRequest { key: KEYS[1].into() })).await?.into_inner().value == large());
    Ok(())
}

async fn server_stream(channel: Channel) -> Outcome {
    let request = in_namespace(ScanRequest { prefix: "rs/".into(), ..Default::default() });
    let mut stream = KeyValueScanInterfaceClient::new(channel).scan(request).await?.into_inner();
    let mut keys = Vec::new();
    while let Some(response) = stream.message().await? {
        assert!(response.value == large(), "{} has another value", response.key);
        keys.push(response.key);
    }
    keys.sort();
    assert_eq!(keys, KEYS);
    Ok(())
}

async fn bidi(channel: Channel) -> Outcome {
    let question = grpc::reflection::v1::ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let (ask, questions) = tokio::sync::mpsc::channel(1);
    let mut client = grpc::reflection::v1::server_reflection_client::ServerReflectionClient::new(channel);
    let questions = tokio_stream::wrappers::ReceiverStream::new(questions);
    ask.send(question.clone()).await?;
    let mut answers = client.server_reflection_info(questions).await?.into_inner();
    for round in 0..2 {
        let Some(MessageResponse::ListServicesResponse(list)) = answers.message().await?.and_then(|answer| answer.message_response) else {
            panic!("no answer");
        };
        assert!(list.service.len() > 10, "few services are listed");
        if round == 0 {
            ask.send(question.clone()).await?;
        }
    }
    drop(ask);
    assert!(answers.next().await.is_none(), "the call goes on");
    Ok(())
}

async fn details(channel: Channel) -> Outcome {
    let request = in_namespace(SetRequest { key: String::new(), value: Vec::new() });
    let status = KeyValueBasicInterfaceClient::new(channel).set(request).await.expect_err("an empty key is taken");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let bad = status.get_details_bad_request().expect("no detail names the field");
    assert_eq!(bad.field_violations[0].field, "key");
    Ok(())
}

async fn no_namespace(channel: Channel) -> Outcome {
    let request = GetRequest { key: "a".into() };
    KeyValueBasicInterfaceClient::new(channel).get(request).await.expect_err("a call without a namespace succeeds");
    Ok(())
}

async fn deadline(channel: Channel) -> Outcome {
    // tonic sends the timeout and watches over the header alone: it is the gateway that ends the stream.
    let mut request = Request::new(grpc::health::v1::HealthCheckRequest::default());
    request.set_timeout(Duration::from_millis(300));
    let mut stream = grpc::health::v1::health_client::HealthClient::new(channel).watch(request).await?.into_inner();
    let first = stream.message().await?.expect("an answer");
    assert_eq!(first.status(), ServingStatus::Serving);
    let status = stream.message().await.expect_err("the call goes on");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let authority = Certificate::from_pem(std::fs::read(std::env::var("PRISM_CA")?)?);
    let clear = Endpoint::from_shared(format!("http://{}", std::env::var("PRISM_CLEAR")?))?;
    let secure = Endpoint::from_shared(format!("https://{}", std::env::var("PRISM_SECURE")?))?
        .tls_config(ClientTlsConfig::new().ca_certificate(authority))?;
    for endpoint in [clear, secure] {
        let channel = endpoint.connect().await?;
        unary(channel.clone()).await?;
        server_stream(channel.clone()).await?;
        bidi(channel.clone()).await?;
        details(channel.clone()).await?;
        no_namespace(channel.clone()).await?;
        deadline(channel).await?;
    }
    Ok(())
}
