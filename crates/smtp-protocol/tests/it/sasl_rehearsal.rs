//! Both sides of every SASL exchange against bytes that may be anything: they end, and nobody gets in unproved.

use postroad_smtp_protocol::sasl::{
    Binding, BindingType, ChannelBindings, ClientExchange, Credential, Hash, Mechanism, Nonce, ScramVerifier,
    Secret, ServerExchange, ServerStep,
};

/// Plays the bytes as one side's messages, 0xff between them. The first byte chooses the mechanism and the side.
///
/// # Panics
/// When an exchange breaks its word.
pub(crate) fn rehearse(data: &[u8]) {
    let Some((&choice, words)) = data.split_first() else { return };
    let mechanism = Mechanism::ALL[usize::from(choice) % Mechanism::ALL.len()];
    let messages: Vec<&[u8]> = words.split(|&byte| byte == 0xff).collect();
    if choice & 0x80 == 0 { as_client(mechanism, &messages) } else { as_server(mechanism, &messages) }
}

/// What a stranger says to our server: SCRAM's proof cannot be made without the password.
fn as_client(mechanism: Mechanism, messages: &[&[u8]]) {
    let nonce = Nonce::parse("xyz").expect("a nonce");
    let bindings = ChannelBindings::none().with_exporter([7; 32]);
    let mut server = ServerExchange::new(mechanism, nonce, bindings, false);
    for (round, message) in messages.iter().enumerate() {
        let step = server.respond(Some(message)).and_then(|step| match step {
            ServerStep::Fetch(name) => {
                let hash = mechanism.scram().unwrap_or(Hash::Sha256);
                server.verifier(ScramVerifier::decoy(hash, &Secret::new("lasting"), &name, 4096))
            }
            ServerStep::Token(_) => Ok(server.refuse_token()),
            step => Ok(step),
        });
        match step {
            Ok(ServerStep::Accept(name)) => panic!("{name} got in without a password"),
            Ok(ServerStep::Challenge(_)) if round < 3 => {}
            Ok(ServerStep::Challenge(_)) => panic!("{mechanism} asks without end"),
            _ => {
                assert!(server.respond(Some(message)).is_err(), "{mechanism} goes on behind its end");
                return;
            }
        }
    }
}

/// What a stranger says to our client: SCRAM's signature cannot be made without the password, and a password is not made
/// to be hashed all day.
fn as_server(mechanism: Mechanism, messages: &[&[u8]]) {
    let credential = match mechanism {
        Mechanism::External => Credential::certificate(None),
        Mechanism::OAuthBearer | Mechanism::XOAuth2 => Credential::token("tim", Secret::new("token")),
        _ => Credential::new("tim", Secret::new("pw")),
    };
    let data = Secret::new([7; 32]);
    let binding = if mechanism.binds_channel() {
        Binding::Bound(BindingType::TlsExporter, data)
    } else {
        Binding::None
    };
    let mut client = ClientExchange::new(mechanism, credential, Nonce::parse("abc"), binding);
    let _ = client.initial_response();
    let mut refused = 0;
    for message in messages {
        // What a million rounds cost is known; here they only cost time.
        if mechanism.scram().is_some() && iterations(message) > 10_000 {
            return;
        }
        let answer = client.respond(message);
        refused += u8::from(answer.is_err());
        assert!(
            mechanism.scram().is_none() || !client.is_complete(),
            "a server without the password is believed"
        );
        assert!(answer.is_err() || refused == 0, "{mechanism} goes on behind its end");
    }
}

fn iterations(message: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(message);
    let count = text.rsplit(",i=").next().and_then(|rest| rest.split(',').next());
    count.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::rehearse;
    use proptest::prelude::*;

    /// Pieces of messages, in any order.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&'static [u8]> = vec![
            b"n,,n=tim,r=abc",
            b"y,,",
            b"p=tls-exporter,,",
            b"n=tim",
            b"a=tim,",
            b"r=abcxyz",
            b"s=c2FsdA==",
            b",",
            b"=",
            b",i=4096",
            b",i=1",
            b"c=biws",
            b"c=eSws",
            b",p=",
            b"v=",
            b"e=other-error",
            b"m=x,",
            b"\0tim\0pw",
            b"\0",
            b"user=tim\x01auth=Bearer x\x01\x01",
            b"n,,\x01auth=Bearer x\x01\x01",
            b"\x01",
            b"AAAA",
            b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            b"\xff",
            b"\xff",
            b"r=abcxyz,s=c2FsdA==,i=4096\xff",
        ];
        prop_oneof![20 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..5)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        #[test]
        fn whatever_the_other_side_says_nobody_gets_in_unproved(
            choice in any::<u8>(), pieces in prop::collection::vec(piece(), 0..12),
        ) {
            rehearse(&[&[choice][..], &pieces.concat()].concat());
        }
    }
}
