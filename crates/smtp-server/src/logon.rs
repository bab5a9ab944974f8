//! A logon: leads its exchange, asks the verifier, and gives the client what its logon is worth.

use postroad_message::EnhancedStatus;
use postroad_smtp_protocol::sasl::{
    ChannelBindings, ClearCredential, Mechanism, Nonce, Refused, Secret, ServerExchange, ServerStep,
    prepare_name,
};
use postroad_smtp_protocol::server::{LogonOffer, Refusal, Verdict};
use rustls::{ProtocolVersion, ServerConnection};

use crate::client::Client;
use crate::connection::Connection;
use crate::parameters::AuthMechanism;
use crate::relay_right;
use crate::service::Service;
use crate::verify::{Logon, LogonStep, PasswordVerdict, Verify};

/// What a connection knows of its logons.
#[derive(Default)]
pub(crate) struct Logons {
    /// What a logon can be bound to this connection by.
    pub(crate) bindings: ChannelBindings,
    under_way: Option<UnderWay>,
}

impl Logons {
    /// The client cancelled, or said what is no response: what the exchange knows is let go of.
    pub(crate) fn forget_exchange(&mut self) {
        self.under_way = None;
    }
}

struct UnderWay {
    mechanism: String,
    /// Who it is said to be, for the log.
    username: Option<String>,
    exchange: Exchange,
}

enum Exchange {
    Ours(ServerExchange),
    Embedders(Box<dyn Logon>),
}

/// How a logon ended, or goes on.
enum Step {
    Challenge(Vec<u8>),
    Accepted(String),
    Refused(Refused),
    Unavailable,
}

impl From<LogonStep> for Step {
    fn from(step: LogonStep) -> Self {
        match step {
            LogonStep::Challenge(challenge) => Self::Challenge(challenge),
            LogonStep::Accepted(user) => Self::Accepted(user),
            LogonStep::Rejected => Self::Refused(Refused::Wrong),
            LogonStep::Unavailable => Self::Unavailable,
        }
    }
}

/// What this client is offered; `None`: no AUTH.
pub(crate) fn offer(service: &Service, client: &Client, bindings: &ChannelBindings) -> Option<LogonOffer> {
    if !service.connector.offers(AuthMechanism::BasicAuth) {
        return None;
    }
    let mut mechanisms = Vec::new();
    for name in service.verify.mechanisms(client) {
        let sister = name.parse().ok().and_then(Mechanism::with_channel_binding);
        mechanisms.extend(sister.filter(|_| !bindings.is_empty()).map(|sister| sister.name().to_owned()));
        mechanisms.push(name);
    }
    let in_tls_only = service.connector.offers(AuthMechanism::BasicAuthRequireTls);
    (!mechanisms.is_empty()).then(|| LogonOffer::new(mechanisms, in_tls_only))
}

/// What a logon inside this connection can be bound by: of TLS 1.3 its exported keying material. TLS 1.2 has nothing that
/// is safe (RFC 9266 section 4.2) and that clients use.
pub(crate) fn bindings(tls: &ServerConnection) -> ChannelBindings {
    if tls.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return ChannelBindings::none();
    }
    let label = ChannelBindings::EXPORTER_LABEL.as_bytes();
    match tls.export_keying_material([0; 32], label, Some(&[])) {
        Ok(material) => ChannelBindings::none().with_exporter(material),
        Err(_) => ChannelBindings::none(),
    }
}

impl Connection<'_> {
    /// AUTH has come.
    pub(crate) async fn begin_logon(&mut self, mechanism: String, response: Option<Secret>) -> Verdict {
        let exchange = match self.service.verify.begin(&self.client, &mechanism) {
            Some(logon) => Exchange::Embedders(logon),
            None => match self.exchange(&mechanism) {
                Some(exchange) => Exchange::Ours(exchange),
                None => return unavailable(),
            },
        };
        self.logons.under_way = Some(UnderWay { mechanism, username: None, exchange });
        self.go_on_with_logon(response).await
    }

    fn exchange(&self, mechanism: &str) -> Option<ServerExchange> {
        let mut random = [0; 18];
        let mechanism: Mechanism = mechanism.parse().ok()?;
        getrandom::fill(&mut random).ok()?;
        let bindings = self.logons.bindings.clone();
        let plus_offered = !bindings.is_empty();
        Some(ServerExchange::new(mechanism, Nonce::from_random(random), bindings, plus_offered))
    }

    /// The client has said something to a challenge.
    pub(crate) async fn go_on_with_logon(&mut self, response: Option<Secret>) -> Verdict {
        let Some(mut logon) = self.logons.under_way.take() else { return unavailable() };
        let response = response.as_ref().map(Secret::expose);
        let step = match &mut logon.exchange {
            Exchange::Embedders(exchange) => exchange.respond(response).await.into(),
            Exchange::Ours(exchange) => match exchange.respond(response) {
                Ok(step) => {
                    let verify = self.service.verify.as_ref();
                    serve(verify, &self.client, exchange, &mut logon.username, step).await
                }
                Err(why) => Step::Refused(why),
            },
        };
        match step {
            Step::Challenge(challenge) => {
                self.logons.under_way = Some(logon);
                Verdict::Challenge(challenge)
            }
            Step::Accepted(user) => {
                self.client.may_relay =
                    relay_right::may_relay(&self.service.connector, self.client.peer.ip(), true);
                tracing::info!(%user, mechanism = logon.mechanism, "logged on");
                self.client.user = Some(user.clone());
                Verdict::LoggedOn(user)
            }
            Step::Refused(Refused::Malformed) => Verdict::Refuse(Refusal::new(
                501,
                EnhancedStatus::permanent(5, 2),
                "The response is malformed",
            )),
            Step::Refused(why) => {
                let user = logon.username.as_deref().map(|name| self.loggable(name)).unwrap_or_default();
                let peer = self.client.peer;
                tracing::warn!(%peer, ?user, mechanism = logon.mechanism, %why, "a logon failed");
                Verdict::Refuse(Refusal::new(535, EnhancedStatus::permanent(7, 8), &why.to_string()))
            }
            Step::Unavailable => unavailable(),
        }
    }
}

impl Connection<'_> {
    /// What a client says its name is may be a password in the wrong field: of a name that nobody has, the log tells its length.
    fn loggable(&self, name: &str) -> String {
        if self.service.verify.is_known(&self.client, name) {
            name.to_owned()
        } else {
            format!("not known, of {} characters", name.chars().count())
        }
    }
}

/// Asks the verifier what one of our exchanges needs to know.
async fn serve(
    verify: &dyn Verify,
    client: &Client,
    exchange: &mut ServerExchange,
    said_to_be: &mut Option<String>,
    step: ServerStep,
) -> Step {
    match step {
        ServerStep::Challenge(challenge) => Step::Challenge(challenge.expose().to_vec()),
        ServerStep::Accept(username) => Step::Accepted(username),
        ServerStep::Verify(ClearCredential { authorization_identity, username, password, .. }) => {
            let username = prepare_name(&username).into_owned();
            *said_to_be = Some(username.clone());
            if !authorization_identity.is_empty() && prepare_name(&authorization_identity) != username {
                return Step::Refused(Refused::ActsForAnother);
            }
            match verify.verify(client, &username, password).await {
                PasswordVerdict::Accepted => Step::Accepted(username),
                PasswordVerdict::Rejected => Step::Refused(Refused::Wrong),
                PasswordVerdict::Unavailable => Step::Unavailable,
            }
        }
        ServerStep::Fetch(username) => {
            let verifier = verify.scram(client, &username).await;
            *said_to_be = Some(username);
            let Some(verifier) = verifier else { return Step::Unavailable };
            match exchange.verifier(verifier) {
                Ok(ServerStep::Challenge(challenge)) => Step::Challenge(challenge.expose().to_vec()),
                Ok(_) => Step::Unavailable,
                Err(why) => Step::Refused(why),
            }
        }
        ServerStep::Token(token) => {
            *said_to_be = Some(token.username.clone());
            match (verify.verify_token(client, token).await, exchange) {
                // The client is told why before it is told no (RFC 7628 section 3.2.3).
                (LogonStep::Rejected, exchange) => match exchange.refuse_token() {
                    ServerStep::Challenge(challenge) => Step::Challenge(challenge.expose().to_vec()),
                    _ => Step::Refused(Refused::Wrong),
                },
                (step, _) => step.into(),
            }
        }
        // EXTERNAL is an embedder's to serve, by `begin`.
        _ => Step::Unavailable,
    }
}

fn unavailable() -> Verdict {
    let text = "Logons cannot be verified now";
    Verdict::Refuse(Refusal::new(454, EnhancedStatus::transient(7, 0), text))
}
