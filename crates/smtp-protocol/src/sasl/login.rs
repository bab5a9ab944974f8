//! LOGIN: the name, then the password, each asked for.

use super::plain::ClearCredential;
use super::secret::Secret;

/// What a server asks for first, decoded.
pub(crate) const USERNAME_CHALLENGE: &[u8] = b"Username:";
/// What a server asks for next, decoded.
pub(crate) const PASSWORD_CHALLENGE: &[u8] = b"Password:";

/// The server's side: feed it the decoded responses.
///
/// The first may come with AUTH itself, as Outlook sends it.
#[derive(Default)]
pub(crate) struct ServerExchange {
    username: Option<String>,
}

/// What the server does after a response.
pub(crate) enum ServerStep {
    /// 334 with this challenge.
    Challenge(&'static [u8]),
    /// All has come; verify it.
    Verify(ClearCredential),
}

/// The response is no name: empty, with a NUL, or not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a LOGIN response: expected a user name, then a password")]
pub(crate) struct NotLogin;

impl ServerExchange {
    /// An exchange of which nothing has come.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What to say when AUTH came without an initial response.
    pub(crate) fn first_challenge(&self) -> &'static [u8] {
        USERNAME_CHALLENGE
    }

    /// Takes one response.
    pub(crate) fn respond(&mut self, response: &[u8]) -> Result<ServerStep, NotLogin> {
        if response.is_empty() || response.contains(&0) {
            return Err(NotLogin);
        }
        match self.username.take() {
            None => {
                self.username = Some(std::str::from_utf8(response).map_err(|_| NotLogin)?.to_owned());
                Ok(ServerStep::Challenge(PASSWORD_CHALLENGE))
            }
            Some(username) => Ok(ServerStep::Verify(ClearCredential {
                authorization_identity: String::new(),
                username,
                password: Secret::new(response),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_the_name_and_then_for_the_password() {
        let mut exchange = ServerExchange::new();
        assert_eq!(exchange.first_challenge(), b"Username:");
        assert!(matches!(exchange.respond(b"tim"), Ok(ServerStep::Challenge(b"Password:"))));
        let Ok(ServerStep::Verify(credential)) = exchange.respond(b"tanstaaf") else {
            panic!("not verified")
        };
        assert_eq!(credential.username, "tim");
        assert!(credential.password.matches(&Secret::new("tanstaaf")));
    }

    #[test]
    fn an_empty_or_broken_name_is_refused() {
        for response in [&b""[..], b"a\0b", b"\xff"] {
            assert!(ServerExchange::new().respond(response).is_err(), "{response:?}");
        }
    }
}
