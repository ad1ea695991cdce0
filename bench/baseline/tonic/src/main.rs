//! A bare tonic server on tokio's current-thread runtime. It answers every KeyValue Get with the same 100 bytes, as the other baselines do. What a code generator
//! would have written is written by hand, so that building it needs no protoc.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;

const GET: &str = "/prism.keyvalue.v1.KeyValueBasicInterface/Get";

#[derive(Clone, PartialEq, prost::Message)]
struct GetRequest {
    #[prost(string, tag = "1")]
    key: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetResponse {
    #[prost(bool, tag = "1")]
    found: bool,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

struct Get;

impl UnaryService<GetRequest> for Get {
    type Response = GetResponse;
    type Future = Ready<Result<Response<GetResponse>, Status>>;

    fn call(&mut self, _: Request<GetRequest>) -> Self::Future {
        ready(Ok(Response::new(GetResponse { found: true, value: vec![b'v'; 100] })))
    }
}

#[derive(Clone)]
struct KeyValue;

impl NamedService for KeyValue {
    const NAME: &'static str = "prism.keyvalue.v1.KeyValueBasicInterface";
}

impl Service<http::Request<Body>> for KeyValue {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != GET {
            return Box::pin(ready(Ok(Status::new(Code::Unimplemented, "only Get is here").into_http())));
        }
        Box::pin(async move { Ok(Grpc::new(ProstCodec::<GetResponse, GetRequest>::default()).unary(Get, request).await) })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some("--listen"), Some(address)) = (arguments.next().as_deref(), arguments.next()) else {
        return Err("usage: prism-bench-tonic --listen ADDRESS".into());
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let server = tonic::transport::Server::builder().add_service(KeyValue).serve(address.parse()?);
        server.await?;
        Ok(())
    })
}
