//! A logon: asks the verifier, and gives the client what its logon is worth.

use postroad_message::EnhancedStatus;
use postroad_smtp_protocol::sasl::ClearCredential;
use postroad_smtp_protocol::server::{Refusal, Verdict};

use crate::connection::Connection;
use crate::relay_right;
use crate::verify::Verification;

impl Connection<'_> {
    pub(crate) async fn log_on(&mut self, credential: ClearCredential) -> Verdict {
        let verified =
            self.service.verify.verify(&self.client, &credential.username, credential.password).await;
        match verified {
            Verification::Accepted => {
                self.client.may_relay =
                    relay_right::may_relay(&self.service.connector, self.client.peer.ip(), true);
                tracing::info!(user = %credential.username, "logged on");
                self.client.user = Some(credential.username);
                Verdict::Accept
            }
            Verification::Rejected => {
                // Whatever the client sent: escaped, and no longer than a name is.
                let user: String = credential.username.chars().take(256).collect();
                tracing::warn!(peer = %self.client.peer, ?user, "a logon failed");
                Verdict::Refuse(Refusal::new(
                    535,
                    EnhancedStatus::permanent(7, 8),
                    "The user name or password is wrong",
                ))
            }
            Verification::Unavailable => {
                let text = "Logons cannot be verified now";
                Verdict::Refuse(Refusal::new(454, EnhancedStatus::transient(7, 0), text))
            }
        }
    }
}
