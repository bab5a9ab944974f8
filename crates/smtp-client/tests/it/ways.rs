//! By which address a host is reached, and through which proxy.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use postroad_message::Fault;
use postroad_smtp_client::{Credential, Proxy, Secret, SmartHost};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::pretend::{Behaviour, Pretend, Zone, builder, by_mx, client, deliver, mx_hosts, words};

#[tokio::test]
async fn the_other_family_stands_in_for_one_that_is_not_there() {
    let server = Pretend::start_at("127.0.0.1:0", Behaviour::default()).await;
    let both: [IpAddr; 2] = [IpAddr::from([127, 0, 0, 1]), "::1".parse().expect("an address")];
    let addresses = both.map(|address| ("m1.test", address)).to_vec();
    let client = builder(Zone { mx: vec![(10, "m1.test")], addresses }).build().expect("a client");
    let outcomes = deliver(&client, &by_mx(server.address.port()), &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["delivered"]);
    assert_eq!(server.seen(|seen| seen.messages.len()), 1);
}

#[tokio::test]
async fn a_host_out_of_reach_is_left_for_last_for_a_while() {
    let second = Pretend::start_at("127.0.0.2:0", Behaviour::default()).await;
    let port = second.address.port();
    let client = builder(mx_hosts(2)).build().expect("a client");
    let mut destination = by_mx(port);
    destination.max_messages_per_connection = 1;
    deliver(&client, &destination, &["a@b.test"]).await;
    let first = Pretend::start_at(&format!("127.0.0.1:{port}"), Behaviour::default()).await;
    deliver(&client, &destination, &["a@b.test"]).await;
    assert_eq!((first.seen(|seen| seen.connections), second.seen(|seen| seen.connections)), (0, 2));
    // It is not forgotten: when the others fail it has its turn.
    destination.source_address = Some([127, 0, 0, 9].into());
    drop(second);
    let client = builder(mx_hosts(1)).build().expect("a client");
    let outcomes = deliver(&client, &destination, &["a@b.test"]).await;
    assert_eq!(words(&outcomes), ["delivered"]);
}

#[tokio::test]
async fn a_connection_leaves_from_the_address_it_is_told_to() {
    let server = Pretend::start(Behaviour::default()).await;
    let client = client();
    for from in [Some([127, 0, 0, 2]), Some([127, 0, 0, 3]), None, Some([127, 0, 0, 2]), None] {
        let mut destination = server.destination();
        destination.source_address = from.map(IpAddr::from);
        assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), ["delivered"]);
    }
    // One for each, which serves nobody who leaves from elsewhere.
    let peers = server.seen(|seen| seen.peers.clone());
    assert_eq!(peers, [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 1]].map(IpAddr::from));
}

/// A SOCKS5 server: what it answers to a request, and with a login whom it lets in.
struct Socks {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Socks {
    async fn start(reply: u8, login: Option<(&'static str, &'static str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move { serve(stream, reply, login, &shared).await.ok() });
            }
        });
        Self { address, asked }
    }

    fn proxy(&self) -> Proxy {
        Proxy::new(SmartHost::Address(self.address.ip()), self.address.port())
    }

    fn asked(&self) -> Vec<SocketAddr> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    reply: u8,
    login: Option<(&str, &str)>,
    asked: &Mutex<Vec<SocketAddr>>,
) -> std::io::Result<()> {
    let [5, count] = read::<2>(&mut stream).await? else { return Ok(()) };
    let mut methods = vec![0; usize::from(count)];
    stream.read_exact(&mut methods).await?;
    let wanted = if login.is_some() { 2 } else { 0 };
    if !methods.contains(&wanted) {
        return stream.write_all(&[5, 0xff]).await;
    }
    stream.write_all(&[5, wanted]).await?;
    if let Some((name, password)) = login {
        let mut expected = vec![1, u8::try_from(name.len()).expect("short")];
        expected.extend_from_slice(name.as_bytes());
        expected.push(u8::try_from(password.len()).expect("short"));
        expected.extend_from_slice(password.as_bytes());
        let mut said = vec![0; expected.len()];
        stream.read_exact(&mut said).await?;
        stream.write_all(&[1, u8::from(said != expected)]).await?;
    }
    let [5, 1, 0, 1] = read::<4>(&mut stream).await? else { return Ok(()) };
    let address = read::<4>(&mut stream).await?;
    let to = SocketAddr::from((address, u16::from_be_bytes(read(&mut stream).await?)));
    asked.lock().expect("no panic").push(to);
    stream.write_all(&[5, reply, 0, 3, 2, b'm', b'x', 0, 25]).await?;
    if reply == 0 {
        let mut onwards = TcpStream::connect(to).await?;
        copy_bidirectional(&mut stream, &mut onwards).await?;
    }
    Ok(())
}

async fn read<const N: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[tokio::test]
async fn mail_leaves_through_the_front_end_and_never_past_it() {
    let server = Pretend::start(Behaviour::default()).await;
    let (open, closed) = (Socks::start(0, None).await, Socks::start(0, Some(("relay", "pw"))).await);
    let mut destination = server.destination();
    destination.proxies = vec![open.proxy()];
    let client = client();
    for _ in 0..2 {
        assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), ["delivered"]);
    }
    assert_eq!(open.asked(), [server.address], "asked once: the connection is kept");
    let mut proxy = closed.proxy();
    proxy.credential = Some(Credential::new("relay", Secret::new("pw")));
    destination.proxies = vec![proxy];
    assert_eq!(words(&deliver(&client, &destination, &["a@b.test"]).await), ["delivered"]);
    assert_eq!(closed.asked(), [server.address], "through another proxy is another connection");
    let seen = server.seen(|seen| (seen.connections, seen.messages.len()));
    assert_eq!(seen, (2, 3));
}

#[tokio::test]
async fn a_front_end_that_fails_keeps_the_mail_waiting() {
    let server = Pretend::start(Behaviour::default()).await;
    let no_socks = Pretend::start(Behaviour::default()).await;
    let proxy_at = |address: SocketAddr| Proxy::new(SmartHost::Address(address.ip()), address.port());
    let with_password = |mut proxy: Proxy| {
        proxy.credential = Some(Credential::new("relay", Secret::new("wrong")));
        proxy
    };
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    for (proxy, fault) in [
        (Socks::start(2, None).await.proxy(), Fault::Configuration),
        (Socks::start(5, None).await.proxy(), Fault::Remote),
        (Socks::start(0, Some(("relay", "pw"))).await.proxy(), Fault::Configuration),
        (with_password(Socks::start(0, Some(("relay", "right"))).await.proxy()), Fault::Configuration),
        (proxy_at(no_socks.address), Fault::Configuration),
        (proxy_at(nobody), Fault::Remote),
        (Proxy::new(SmartHost::Name("nowhere.test".parse().expect("a name")), 1080), Fault::Remote),
    ] {
        let mut destination = server.destination();
        destination.proxies = vec![proxy.clone()];
        let outcomes = deliver(&client(), &destination, &["a@b.test"]).await;
        assert_eq!(words(&outcomes), ["deferred 4.4.1 at connecting"], "{proxy}");
        assert_eq!(outcomes[0].failure().map(|failure| failure.fault), Some(fault), "{proxy} {outcomes:?}");
    }
    assert_eq!(server.seen(|seen| seen.connections), 0, "never straight");
}
