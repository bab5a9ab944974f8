//! One message to one destination: host after host, until every recipient has an answer.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use postroad_message::{Content, EnhancedStatus, Envelope, Failure, Fault, Outcome, Phase, Recipient, Scope};
use postroad_smtp_protocol::client::{Event, Settings, StartTls, Transaction};
use postroad_smtp_protocol::transcript::{Conversation, Transcript};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::client::Inner;
use crate::connect::{Unconnected, Way, in_turns, race, unreached};
use crate::connection::{Connection, Purpose, apart, now};
use crate::destination::{Destination, Hosts as DestinationHosts, SmartHost, TlsPolicy};
use crate::proxy::Hop;
use crate::resolve::Answer;
use crate::resolve::hosts::{self, Target};
use crate::resolve::questions::Questions;
use crate::tls::Terms;

/// See [`crate::SmtpClient::deliver`].
pub(crate) async fn deliver(
    client: &Inner,
    destination: &Destination,
    envelope: &Envelope,
    recipients: &[Recipient],
    content: &Content,
) -> Vec<Outcome> {
    if envelope.deliver_by.is_some_and(|by| by.is_to_return(client.date())) {
        return vec![Outcome::Failed(too_late()); recipients.len()];
    }
    let ledger = Ledger::new(recipients.len());
    let mut delivery = Delivery { client, destination, envelope, recipients, content, ledger };
    while !recipients.is_empty() {
        delivery.try_idle_smart_host().await;
        // Most messages end here.
        if delivery.ledger.is_settled() || apart(delivery.try_hosts()).await == Hosts::Named {
            break;
        }
        let Some(instead) = delivery.destination.when_dns_fails.as_deref() else { break };
        delivery.destination = instead;
    }
    delivery.ledger.close()
}

/// How far a destination's hosts were got to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hosts {
    /// The name service named at least one, or gave its reasons.
    Named,
    /// The name service failed, or knows no such name: nobody was tried.
    Unnamed,
}

struct Delivery<'a> {
    client: &'a Inner,
    destination: &'a Destination,
    envelope: &'a Envelope,
    recipients: &'a [Recipient],
    content: &'a Content,
    ledger: Ledger,
}

impl<'a> Delivery<'a> {
    async fn try_hosts(&mut self) -> Hosts {
        let (client, port) = (self.client, self.destination.port);
        let end = now() + client.timeouts.transaction;
        let questions = Questions { resolver: &*client.resolver, within: client.timeouts.lookup };
        let named = hosts::groups(questions, &self.destination.hosts, &client.ourselves, &mut picker()).await;
        let groups = match named {
            Ok(groups) => groups,
            Err(nowhere) => {
                self.ledger.note(nowhere.outcome);
                return if nowhere.dns_failed { Hosts::Unnamed } else { Hosts::Named };
            }
        };
        let mut budget = client.max_addresses;
        let mut reached = Hosts::Unnamed;
        // Those that were out of reach a while ago: behind all others.
        let mut later = Vec::new();
        for group in groups {
            let targets = match hosts::targets(questions, &group, port, &client.ourselves).await {
                Ok(targets) => targets,
                Err(blocked) => {
                    self.ledger.note(blocked.outcome);
                    if !blocked.dns_failed {
                        reached = Hosts::Named;
                    }
                    if blocked.is_loop {
                        break;
                    }
                    continue;
                }
            };
            reached = Hosts::Named;
            for host in by_host(targets) {
                let is_out = |target: &Target| client.memory.is_unreachable(self.address(target), now());
                let (out, in_reach): (Vec<Target>, Vec<Target>) = host.into_iter().partition(is_out);
                later.push(out);
                self.try_host(in_reach, &mut budget, end).await;
                if self.ledger.is_settled() {
                    return reached;
                }
            }
        }
        for host in later {
            self.try_host(host, &mut budget, end).await;
            if self.ledger.is_settled() {
                return reached;
            }
        }
        reached
    }

    fn address(&self, target: &Target) -> SocketAddr {
        SocketAddr::new(target.address, self.destination.port)
    }

    /// One host by its addresses: over a connection that stands, or else over the first that can be had, and over the next as
    /// long as somebody has no answer.
    async fn try_host(&mut self, targets: Vec<Target>, budget: &mut usize, end: Instant) {
        let mut targets = in_turns(targets, |target| target.address, self.destination.source_address);
        for target in &targets {
            let purpose = self.purpose(target);
            self.try_idle(&purpose).await;
            if self.ledger.is_settled() {
                return;
            }
        }
        targets.truncate(*budget);
        if targets.is_empty() {
            return;
        }
        let way = match self.way().await {
            Ok(way) => way,
            Err(failure) => return self.ledger.note(Outcome::Deferred(failure)),
        };
        while !targets.is_empty() && now() < end && !self.ledger.is_settled() {
            let raced = race(targets.iter().map(|target| self.address(target)).collect(), &way).await;
            for (address, why) in raced.failed {
                if matches!(&why, Unconnected::Target(failure) if failure.fault == Fault::Remote) {
                    self.client.memory.not_reached(address, now());
                }
                let mut failure = why.into_failure();
                let failed = targets.extract_if(.., |target| target.address == address.ip()).next();
                failure.host = failed.map(|target| label(&target, address));
                *budget = budget.saturating_sub(1);
                self.ledger.note(Outcome::Deferred(failure));
            }
            let Some((address, stream)) = raced.winner else { return };
            self.client.memory.reached(address);
            *budget = budget.saturating_sub(1);
            let won = targets.extract_if(.., |target| target.address == address.ip()).next();
            let Some(target) = won else { return };
            self.try_address(&target, stream, &way).await;
        }
    }

    /// One address; twice if TLS is a wish only and its handshake fails.
    async fn try_address(&mut self, target: &Target, stream: TcpStream, way: &Way) {
        let purpose = self.purpose(target);
        if self.try_fresh(&purpose, stream).await == Ended::TlsFailed && self.wishes_tls() {
            let address = purpose.address;
            tracing::warn!(host = %label(target, address), "TLS failed: clear text for an hour, as the policy allows");
            self.client.memory.tls_failed(address, now());
            let purpose = Purpose { downgraded: true, ..purpose };
            let raced = race(vec![address], way).await;
            match raced.winner {
                Some((_, stream)) => {
                    self.try_fresh(&purpose, stream).await;
                }
                None => raced.failed.into_iter().for_each(|(_, why)| {
                    let mut failure = why.into_failure();
                    failure.host = Some(label(target, address));
                    self.ledger.note(Outcome::Deferred(failure));
                }),
            }
        }
    }

    fn wishes_tls(&self) -> bool {
        self.destination.tls == TlsPolicy::Opportunistic && !self.destination.implicit_tls
    }

    fn purpose<'t>(&self, target: &'t Target) -> Purpose<'t>
    where
        'a: 't,
    {
        let address = self.address(target);
        let downgraded = self.wishes_tls() && self.client.memory.is_downgraded(address, now());
        Purpose { destination: self.destination, target, address, downgraded }
    }

    /// Straight, or through the front end; its proxies are taken in any order.
    async fn way(&self) -> Result<Way, Failure> {
        let Destination { source_address, proxies, .. } = self.destination;
        let mut through = Vec::new();
        for proxy in proxies {
            let addresses = match &proxy.host {
                SmartHost::Address(address) => vec![*address],
                SmartHost::Name(name) => {
                    let look_up = self.client.resolver.addresses(name.ascii());
                    match tokio::time::timeout(self.client.timeouts.lookup, look_up).await {
                        Ok(Answer::Records { records, .. }) => records,
                        _ => Vec::new(),
                    }
                }
            };
            through.extend(addresses.into_iter().map(|address| Hop {
                address: SocketAddr::new(address, proxy.port),
                credential: proxy.credential.clone(),
            }));
        }
        if through.is_empty() && !proxies.is_empty() {
            return Err(unreached(Fault::Remote, "the name service knows no address of the front-end proxy"));
        }
        if !through.is_empty() {
            let first = picker()(through.len());
            through.rotate_left(first);
        }
        Ok(Way { from: *source_address, through, within: self.client.timeouts.connect })
    }

    /// A smart host that is an address needs no name service: a connection that waits for it is had at once.
    async fn try_idle_smart_host(&mut self) {
        let DestinationHosts::SmartHosts(list) = &self.destination.hosts else { return };
        let Some(SmartHost::Address(address)) = list.get(picker()(list.len())) else { return };
        let target = Target::at(*address);
        let address = SocketAddr::new(*address, self.destination.port);
        let purpose = Purpose { destination: self.destination, target: &target, address, downgraded: false };
        self.try_idle(&purpose).await;
    }

    /// A connection that stands. If the server has given it up meanwhile, nobody has lost anything.
    async fn try_idle(&mut self, purpose: &Purpose<'_>) -> Ended {
        match self.client.pool.take(purpose) {
            Some(connection) => {
                // For whoever has an attempt's span around this, and a place in it for the host.
                let span = tracing::Span::current();
                if !span.is_disabled() {
                    span.record("host", label(purpose.target, purpose.address));
                }
                self.converse(connection).await
            }
            None => Ended::Lost,
        }
    }

    async fn try_fresh(&mut self, purpose: &Purpose<'_>, stream: TcpStream) -> Ended {
        let mut host = label(purpose.target, purpose.address);
        if purpose.downgraded {
            host.push_str(", in clear text after a failed TLS handshake");
        }
        tracing::Span::current().record("host", host.as_str());
        match self.open(purpose, stream, &host).await {
            Ok(connection) => self.converse(Box::new(connection)).await,
            Err(mut failure) => {
                failure.host = Some(host);
                self.ledger.note(Outcome::Deferred(failure));
                Ended::Answered
            }
        }
    }

    /// Sends the message over a connection, again for those who were too many, and gives it back.
    async fn converse(&mut self, mut connection: Box<Connection>) -> Ended {
        let is_reused = connection.is_idle();
        let mut is_ready = is_reused;
        self.ledger.has_more_for_this_host = true;
        loop {
            if is_ready {
                if self.ledger.is_settled() || !self.ledger.has_more_for_this_host {
                    let destination = self.destination;
                    let (messages, idle) =
                        (destination.max_messages_per_connection, destination.inactivity_timeout);
                    self.client.pool.put(connection, messages, idle);
                    return Ended::Answered;
                }
                let open = self.ledger.open().filter_map(|at| self.recipients.get(at));
                let imcea_domain = self.destination.imcea_domain.as_ref();
                let date = self.client.date();
                connection.send(Transaction::new(self.envelope, open, self.content, imcea_domain, date));
                is_ready = false;
            }
            match connection.event().await {
                Some(Event::Ready) => is_ready = true,
                Some(Event::Settled(outcomes)) if is_reused && self.ledger.leaves_open(&outcomes) => {
                    self.ledger.enter_answered(outcomes);
                    return Ended::Lost;
                }
                Some(Event::Settled(outcomes)) => self.ledger.enter(outcomes),
                Some(Event::Unusable(failure)) => {
                    log(&failure);
                    self.ledger.refuse(failure);
                }
                Some(_) => {}
                None if connection.tls_failed() => return Ended::TlsFailed,
                None => return Ended::Answered,
            }
        }
    }

    async fn open(
        &mut self,
        purpose: &Purpose<'_>,
        stream: TcpStream,
        host: &str,
    ) -> Result<Connection, Failure> {
        let destination = self.destination;
        let unmade = |status, fault, text| Failure::new(status, fault, Scope::NextHop, Phase::StartTls, text);
        let shown = destination.client_certificate.as_ref();
        let terms = self.client.tls.terms(&destination.tls, shown).map_err(|error| {
            unmade(EnhancedStatus::transient(3, 5), Fault::Configuration, error.to_string())
        })?;
        let server_name = server_name(purpose.target, &terms);
        let mut transcript = self.transcript(purpose, &stream);
        let mut settings = Settings::new(destination.hello_name.clone(), host);
        settings.force_helo = destination.force_helo;
        settings.lmtp = destination.lmtp;
        settings.starttls = match destination.tls {
            TlsPolicy::Never => StartTls::Never,
            TlsPolicy::Opportunistic => StartTls::Opportunistic,
            TlsPolicy::Required { .. } => StartTls::Required,
        };
        settings.downgraded = purpose.downgraded;
        settings.authentication = destination.authentication.clone();
        if let (Some(login), Some(answering)) = (&mut settings.authentication, &destination.authenticator) {
            login.own_mechanisms = answering.mechanisms();
        }
        settings.eight_bit_content = destination.eight_bit_content;
        settings.timeouts = self.client.timeouts;
        match Connection::open(Box::new(stream), purpose, settings, terms, server_name).await {
            Ok(mut connection) => {
                connection.transcribe(transcript);
                Ok(connection)
            }
            Err(why) => {
                let text = format!("the TLS handshake failed: {why}");
                transcript.note(&text, "");
                Err(unmade(EnhancedStatus::transient(7, 5), Fault::Remote, text))
            }
        }
    }

    /// Where what is said is written down, if anybody wants it.
    fn transcript(&self, purpose: &Purpose<'_>, stream: &TcpStream) -> Transcript {
        let (Some(log), Some(connector)) = (&self.client.protocol_log, &self.destination.logged_as) else {
            return Transcript::default();
        };
        let Ok(local) = stream.local_addr() else { return Transcript::default() };
        let session = RandomState::new().hash_one(local);
        Transcript::begin(Arc::clone(log), Conversation::new(connector, session, local, purpose.address))
    }
}

/// How a conversation ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The ledger has what there was to hear; who is still open there goes to the next host.
    Answered,
    /// There was no idle connection, or it was good for nothing any more: a fresh one says what the host thinks.
    Lost,
    /// The server offered TLS and could not do it.
    TlsFailed,
}

/// Where each recipient of a delivery stands.
struct Ledger {
    settled: Vec<Option<Outcome>>,
    /// What those get that no host answers for: the last reason to try again, or else the last reason not to.
    otherwise: Option<Outcome>,
    has_more_for_this_host: bool,
}

impl Ledger {
    fn new(recipients: usize) -> Self {
        Self { settled: vec![None; recipients], otherwise: None, has_more_for_this_host: true }
    }

    fn is_settled(&self) -> bool {
        self.settled.iter().all(Option::is_some)
    }

    fn open(&self) -> impl Iterator<Item = usize> {
        self.settled.iter().enumerate().filter(|(_, outcome)| outcome.is_none()).map(|(at, _)| at)
    }

    fn note(&mut self, outcome: Outcome) {
        note(&mut self.otherwise, outcome);
    }

    /// What a transaction did for the recipients that were open, in their order.
    ///
    /// Who was one too many goes again at once if others got through; who was not answered, because the connection
    /// failed, goes to the next host. Everyone else has their answer.
    fn enter(&mut self, outcomes: Vec<Outcome>) {
        let progress = outcomes.iter().any(Outcome::is_success);
        self.has_more_for_this_host = false;
        let Self { settled, otherwise, has_more_for_this_host } = self;
        for (place, outcome) in settled.iter_mut().filter(|place| place.is_none()).zip(outcomes) {
            match &outcome {
                Outcome::Deferred(failure) if progress && is_too_many(failure) => {
                    *has_more_for_this_host = true;
                    note(otherwise, outcome);
                }
                Outcome::Deferred(failure) if is_unanswered(failure) => {
                    log(failure);
                    note(otherwise, outcome);
                }
                _ => *place = Some(outcome),
            }
        }
    }

    /// Whether a connection was lost before these had their answers.
    fn leaves_open(&self, outcomes: &[Outcome]) -> bool {
        outcomes.iter().any(|outcome| matches!(outcome, Outcome::Deferred(failure) if is_unanswered(failure)))
    }

    /// Enters what was answered before a connection was lost that had served others: the loss says nothing of the host.
    fn enter_answered(&mut self, outcomes: Vec<Outcome>) {
        let open = self.settled.iter_mut().filter(|place| place.is_none());
        for (place, outcome) in open.zip(outcomes) {
            match &outcome {
                Outcome::Deferred(failure) if is_unanswered(failure) => {
                    tracing::debug!(%failure, "a connection that was kept is of no use any more");
                }
                _ => *place = Some(outcome),
            }
        }
    }

    /// A host did not let us in. A refused login is the same everywhere: it is not tried at the next host.
    fn refuse(&mut self, failure: Failure) {
        let is_final = failure.fault == Fault::Configuration && failure.phase == Phase::Authentication;
        let outcome = Outcome::Deferred(failure);
        if is_final {
            for place in self.settled.iter_mut().filter(|place| place.is_none()) {
                *place = Some(outcome.clone());
            }
        }
        self.note(outcome);
    }

    fn close(self) -> Vec<Outcome> {
        let otherwise = self.otherwise.unwrap_or_else(|| {
            let text = "no host could be tried";
            Outcome::Deferred(Failure::new(
                EnhancedStatus::transient(4, 4),
                Fault::Local,
                Scope::NextHop,
                Phase::Lookup,
                text,
            ))
        });
        self.settled.into_iter().map(|outcome| outcome.unwrap_or_else(|| otherwise.clone())).collect()
    }
}

/// A reason to try again outweighs one not to; of the same kind the last counts.
fn note(otherwise: &mut Option<Outcome>, outcome: Outcome) {
    if matches!(outcome, Outcome::Deferred(_)) || !matches!(otherwise, Some(Outcome::Deferred(_))) {
        *otherwise = Some(outcome);
    }
}

/// The connection failed: whoever has this outcome has no answer, and goes to the next host.
fn is_unanswered(failure: &Failure) -> bool {
    failure.scope == Scope::NextHop && failure.fault != Fault::Configuration
}

/// The addresses of a group by the host they belong to, in their order.
fn by_host(targets: Vec<Target>) -> Vec<Vec<Target>> {
    let mut hosts: Vec<Vec<Target>> = Vec::new();
    for target in targets {
        match hosts.last_mut() {
            Some(host)
                if host.first().is_some_and(|first| first.name.is_some() && first.name == target.name) =>
            {
                host.push(target);
            }
            _ => hosts.push(vec![target]),
        }
    }
    hosts
}

fn is_too_many(failure: &Failure) -> bool {
    failure.phase == Phase::RcptTo && failure.status == EnhancedStatus::transient(5, 3)
}

fn too_late() -> Failure {
    let text = "the sender wanted it back if it was not delivered in time, and that time is over";
    Failure::new(EnhancedStatus::permanent(4, 7), Fault::Message, Scope::Message, Phase::Queue, text)
}

fn log(failure: &Failure) {
    if failure.fault == Fault::Configuration {
        tracing::error!(%failure, phase = %failure.phase, "the configuration of this destination keeps its mail waiting");
    } else {
        tracing::info!(%failure, phase = %failure.phase, "a host could not be used");
    }
}

/// `mx.example.com [192.0.2.1]:25`
fn label(target: &Target, address: SocketAddr) -> String {
    let ip = address.ip();
    match &target.name {
        Some(name) => format!("{} [{ip}]:{}", name.ascii(), address.port()),
        None => format!("[{ip}]:{}", address.port()),
    }
}

fn server_name(target: &Target, terms: &Terms) -> ServerName<'static> {
    let wanted = terms.name.as_ref().or(target.certificate_name.as_ref());
    wanted
        .and_then(|name| ServerName::try_from(name.ascii().to_owned()).ok())
        .unwrap_or_else(|| ServerName::IpAddress(target.address.into()))
}

/// Randomness enough to spread mail: the standard library's hash keys, one hash for each number.
fn picker() -> impl FnMut(usize) -> usize + Send {
    let mut keys = None;
    let mut count = 0_u64;
    move |below| {
        if below < 2 {
            return 0;
        }
        let keys = keys.get_or_insert_with(RandomState::new);
        count += 1;
        let below = u64::try_from(below).unwrap_or(1);
        usize::try_from(keys.hash_one(count) % below).unwrap_or(0)
    }
}
