//! Whoever answers a server session's logon events, for one user whose password or token is known.

use postroad_message::EnhancedStatus;
use postroad_smtp_protocol::sasl::{
    ChannelBindings, Mechanism, Nonce, Refused, ScramVerifier, Secret, ServerExchange, ServerStep,
};
use postroad_smtp_protocol::server::{Event, Refusal, Verdict};

pub(crate) struct LogonJudge {
    user: &'static str,
    secret: Secret,
    /// What our end of the connection is bound by.
    pub(crate) bindings: ChannelBindings,
    exchange: Option<(Mechanism, ServerExchange)>,
    /// Whoever was looked up or verified.
    pub(crate) asked: Vec<String>,
}

impl LogonJudge {
    pub(crate) fn new(user: &'static str, secret: &'static str) -> Self {
        let secret = Secret::new(secret);
        Self { user, secret, bindings: ChannelBindings::none(), exchange: None, asked: Vec::new() }
    }

    /// The verdict on a logon event; gives any other event back.
    pub(crate) fn judge(&mut self, event: Event) -> Result<Verdict, Box<Event>> {
        let response = match event {
            Event::Logon { mechanism, response } => {
                let mechanism: Mechanism = mechanism.parse().expect("one of ours");
                let nonce = Nonce::parse("servers-part").expect("a nonce");
                let plus = !self.bindings.is_empty();
                let exchange = ServerExchange::new(mechanism, nonce, self.bindings.clone(), plus);
                self.exchange = Some((mechanism, exchange));
                response
            }
            Event::LogonResponse { response } => Some(response),
            other => return Err(Box::new(other)),
        };
        let (mechanism, mut exchange) = self.exchange.take().expect("an exchange is under way");
        let step = exchange.respond(response.as_ref().map(Secret::expose));
        let verdict = self.verdict(mechanism, &mut exchange, step);
        self.exchange = Some((mechanism, exchange));
        Ok(verdict)
    }

    fn verdict(
        &mut self,
        mechanism: Mechanism,
        exchange: &mut ServerExchange,
        step: Result<ServerStep, Refused>,
    ) -> Verdict {
        let (user, right) = match step {
            Ok(ServerStep::Challenge(challenge)) => return Verdict::Challenge(challenge.expose().to_vec()),
            Ok(ServerStep::Fetch(user)) => {
                let hash = mechanism.scram().expect("a SCRAM mechanism");
                let verifier = match user == self.user {
                    true => ScramVerifier::derive(hash, &self.secret, *b"salt", 4096),
                    false => ScramVerifier::decoy(hash, &self.secret, &user, 4096),
                };
                self.asked.push(user);
                let step = exchange.verifier(verifier);
                return self.verdict(mechanism, exchange, step);
            }
            Ok(ServerStep::Token(token)) if !token.token.matches(&self.secret) => {
                let step = Ok(exchange.refuse_token());
                return self.verdict(mechanism, exchange, step);
            }
            Ok(ServerStep::Accept(user)) => return Verdict::LoggedOn(user),
            Ok(ServerStep::Token(token)) => (token.username, true),
            Ok(ServerStep::Certificate(name)) => (name, true),
            Ok(ServerStep::Verify(credential)) => {
                let acts_as = credential.authorization_identity;
                let alone = acts_as.is_empty() || acts_as == credential.username;
                (credential.username, alone && credential.password.matches(&self.secret))
            }
            Ok(_) => panic!("a step that is not known here"),
            Err(Refused::Malformed) => {
                return Verdict::Refuse(Refusal::new(501, EnhancedStatus::permanent(5, 2), "malformed"));
            }
            Err(why) => {
                let status = EnhancedStatus::permanent(7, 8);
                return Verdict::Refuse(Refusal::new(535, status, &why.to_string()));
            }
        };
        self.asked.push(user.clone());
        match user.as_str() {
            "down" => Verdict::Refuse(Refusal::new(454, EnhancedStatus::transient(7, 0), "not now")),
            name if name == self.user && right => Verdict::LoggedOn(user),
            _ => Verdict::Refuse(Refusal::new(535, EnhancedStatus::permanent(7, 8), "no")),
        }
    }
}
