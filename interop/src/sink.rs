//! A smart host that takes everything and remembers it, in plain blocking code: no TLS, no password, nothing to install.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::patience;

/// One accepted transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The text between `MAIL FROM:` and the end of the line, parameters included.
    pub reverse_path: String,
    /// The same of each `RCPT TO:`.
    pub recipients: Vec<String>,
    /// The content with CRLF line ends, dot-unstuffed.
    pub content: Vec<u8>,
}

/// What the sink does with a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// 250 to everything.
    Takes,
    /// 451 4.3.0 to every `MAIL FROM`.
    DefersAtMail,
    /// 550 5.1.1 to every `RCPT TO`.
    RefusesRecipients,
    /// Takes the final dot and closes the connection without a reply; remembers nothing.
    HangsUpAfterDot,
}

/// A listening sink; its thread ends when this is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    taken: Mutex<Vec<Taken>>,
    refusals: AtomicUsize,
    manner: Mutex<Manner>,
    ending: AtomicBool,
}

impl Sink {
    /// Listens on a free loopback port.
    pub fn start() -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Listens at `address`, for a smart host that comes up late.
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("bind the sink's loopback port");
        let address = listener.local_addr().expect("the address just bound");
        let state = Arc::new(State {
            taken: Mutex::default(),
            refusals: AtomicUsize::new(0),
            manner: Mutex::new(Manner::Takes),
            ending: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let listener = thread::spawn(move || serve(&listener, &shared));
        Self { address, state, listener: Some(listener) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, also for connections that are open.
    pub fn behave(&self, manner: Manner) {
        *self.state.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// What it accepted so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.state.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has accepted `count` transactions.
    pub fn wait_for(&self, count: usize) -> Vec<Taken> {
        patience::until(&format!("{count} transaction(s) at the sink"), || {
            Some(self.taken()).filter(|taken| taken.len() >= count)
        })
    }

    /// Waits until it has deferred, refused or hung up on `count` transactions.
    pub fn wait_for_refusals(&self, count: usize) {
        patience::until(&format!("{count} refusal(s) by the sink"), || {
            (self.state.refusals.load(Ordering::SeqCst) >= count).then_some(())
        });
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.state.ending.store(true, Ordering::SeqCst);
        // The listener sleeps in accept; a last connection wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn serve(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.ending.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(stream) = stream {
            let state = Arc::clone(state);
            // A client that breaks off is the scenario of some tests, and no error of the sink.
            thread::spawn(move || drop(converse(stream, &state)));
        }
    }
}

fn converse(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_read_timeout(Some(patience::LONGEST))?;
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 sink.test ESMTP")?;
    let mut transaction = Taken::default();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let manner = *state.manner.lock().unwrap_or_else(PoisonError::into_inner);
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                say(&mut stream, "250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600")?
            }
            "RSET" => {
                transaction = Taken::default();
                say(&mut stream, "250 2.0.0 Ok")?;
            }
            "MAIL" if manner == Manner::DefersAtMail => refuse(&mut stream, state, "451 4.3.0 Later")?,
            "MAIL" => {
                transaction = Taken { reverse_path: argument(line), ..Taken::default() };
                say(&mut stream, "250 2.1.0 Ok")?;
            }
            // As when MAIL was refused just before the manner changed, and the rest of the pipeline comes now.
            "RCPT" if transaction.reverse_path.is_empty() => say(&mut stream, "503 5.5.1 MAIL first")?,
            "RCPT" if manner == Manner::RefusesRecipients => {
                refuse(&mut stream, state, "550 5.1.1 Nobody here")?
            }
            "RCPT" => {
                transaction.recipients.push(argument(line));
                say(&mut stream, "250 2.1.5 Ok")?;
            }
            "DATA" if transaction.recipients.is_empty() => say(&mut stream, "554 5.5.1 No valid recipients")?,
            "DATA" => {
                say(&mut stream, "354 Go ahead")?;
                transaction.content = read_content(&mut stream)?;
                if manner == Manner::HangsUpAfterDot {
                    state.refusals.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                let taken = std::mem::take(&mut transaction);
                state.taken.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
                say(&mut stream, "250 2.0.0 Ok: remembered")?;
            }
            "QUIT" => return say(&mut stream, "221 2.0.0 Bye"),
            _ => say(&mut stream, "250 2.0.0 Ok")?,
        }
    }
}

fn argument(line: &str) -> String {
    line.split_once(':').map(|(_, argument)| argument.trim().to_owned()).unwrap_or_default()
}

/// Reads up to the lone dot; only CRLF ends a line.
fn read_content(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if stream.read_until(b'\n', &mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if line == b".\r\n" {
            return Ok(content);
        }
        content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

fn refuse(stream: &mut BufReader<TcpStream>, state: &State, reply: &str) -> io::Result<()> {
    state.refusals.fetch_add(1, Ordering::SeqCst);
    say(stream, reply)
}

fn say(stream: &mut BufReader<TcpStream>, reply: &str) -> io::Result<()> {
    stream.get_mut().write_all(format!("{reply}\r\n").as_bytes())
}
