//! A receiver that takes everything and keeps nothing, for machines without `smtp-sink`.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(crate) async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move { serve(BufReader::new(stream)).await.ok() });
        }
    });
    address
}

async fn serve(mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
    stream.get_mut().set_nodelay(true)?;
    stream.write_all(b"220 sink\r\n").await?;
    let (mut line, mut in_content) = (Vec::new(), false);
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let reply: &[u8] = match line.as_slice() {
            b".\r\n" => {
                in_content = false;
                b"250 taken\r\n"
            }
            _ if in_content => continue,
            b"DATA\r\n" => {
                in_content = true;
                b"354 go on\r\n"
            }
            [b'E', ..] => b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            b"QUIT\r\n" => b"221 bye\r\n",
            _ => b"250 fine\r\n",
        };
        stream.write_all(reply).await?;
    }
}
