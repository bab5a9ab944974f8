//! The smallest application that sends mail: RFC 5321's example dialogues over a blocking socket, with nothing to install.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::patience;

/// One SMTP connection, greeted.
#[derive(Debug)]
pub struct Application {
    stream: BufReader<TcpStream>,
}

impl Application {
    /// Connects, waits for the greeting and says EHLO.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(patience::LONGEST))?;
        stream.set_nodelay(true)?;
        let mut application = Self { stream: BufReader::new(stream) };
        expect(application.reply()?, '2')?;
        expect(application.say("EHLO application.test")?, '2')?;
        Ok(application)
    }

    /// Says one command and returns the whole reply, its lines joined by `\n`.
    pub fn say(&mut self, command: &str) -> io::Result<String> {
        self.write(format!("{command}\r\n").as_bytes())?;
        self.reply()
    }

    /// Writes bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// One transaction by DATA; `content` has CRLF line ends and is dot-stuffed here. The 250 is returned.
    ///
    /// An error means that the server has not taken responsibility: its refusal, or the connection's end.
    pub fn send(&mut self, from: &str, to: &[&str], content: &[u8]) -> io::Result<String> {
        self.send_with(from, "", to, content)
    }

    /// The same with parameters of MAIL, each with a blank before it.
    pub fn send_with(
        &mut self,
        from: &str,
        parameters: &str,
        to: &[&str],
        content: &[u8],
    ) -> io::Result<String> {
        expect(self.say(&format!("MAIL FROM:<{from}>{parameters}"))?, '2')?;
        for recipient in to {
            expect(self.say(&format!("RCPT TO:<{recipient}>"))?, '2')?;
        }
        self.data(content)
    }

    /// `DATA` and `content`, for who has said MAIL and RCPT with parameters. The 250 is returned.
    pub fn data(&mut self, content: &[u8]) -> io::Result<String> {
        expect(self.say("DATA")?, '3')?;
        let mut block = stuffed(content);
        block.extend_from_slice(b".\r\n");
        self.write(&block)?;
        expect(self.reply()?, '2')
    }

    /// Reads one reply, however many lines it has.
    pub fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            if self.stream.read_line(&mut reply)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if reply.as_bytes().get(start + 3) != Some(&b'-') {
                return Ok(reply.replace("\r\n", "\n").trim_end().to_owned());
            }
        }
    }
}

/// `content` with a dot before each line that begins with one (RFC 5321 section 4.5.2), ending in CRLF.
pub(crate) fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(content.len() + 16);
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        if line.first() == Some(&b'.') {
            block.push(b'.');
        }
        block.extend_from_slice(line);
    }
    if !block.is_empty() && !block.ends_with(b"\r\n") {
        block.extend_from_slice(b"\r\n");
    }
    block
}

fn expect(reply: String, class: char) -> io::Result<String> {
    if reply.starts_with(class) { Ok(reply) } else { Err(io::Error::other(reply)) }
}
