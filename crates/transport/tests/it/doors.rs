//! The doors of a relay, together.

use std::sync::Arc;

use postroad_smtp_server::{NobodyLogsOn, Server, ServerSettings};
use postroad_transport::Doors;

use crate::support::Relay;

#[tokio::test]
async fn doors_that_have_closed_say_so_to_whoever_asks_again() {
    let relay = Relay::new([]);
    let settings = ServerSettings::new(
        "hub01.contoso.com",
        vec!["contoso.com".parse().unwrap()],
        "postmaster@contoso.com".parse().unwrap(),
    );
    let submit = Arc::new(relay.pipeline.clone());
    let server = Server::bind(vec![], settings, submit, Arc::new(NobodyLogsOn)).await.unwrap();
    let mut doors = Doors::open(&relay.pipeline, server, vec![]);
    doors.close();
    for _ in 0..2 {
        assert_eq!(doors.closed().await, Ok(()));
    }
}
